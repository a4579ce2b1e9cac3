"""Recipes of the studies in miniature: real images and the whole machinery, in minutes of two CPU cores.

Each departs from its published training in length, width and batch. docs/results.md gives the answers of the
miniatures with their scale.
"""

from typing import Any

from experiments.recipes.demo import demo
from experiments.recipes.derive import derived
from trainers.config import TrainConfig


def vgg16(layer: str) -> dict[str, Any]:
    """Return a content loss on features of VGG16, for which the documents have VGG19.

    A package carries the published weights of VGG16 and none those of VGG19 (`upsweep weights vgg16`). Where
    they are not installed the features are random, and the answers say so.
    """
    from trainers import weights  # torch: --help need not wait for it

    return {
        "loss.content_network": "vgg16",
        "loss.content_layer": layer,
        "loss.content_weights": "random" if weights.missing(["vgg16"]) else "imagenet",
    }


def judged_by_lpips() -> dict[str, Any]:
    """Return LPIPS as the perceptual objective, within 1.5 dB, where its weights are installed."""
    from trainers import weights

    lpips = not weights.missing(weights.NEEDS["lpips_alex"])
    return {"objective.perceptual": "lpips_alex" if lpips else "swd", "objective.delta_db": 1.5}


def miniature_matrix() -> TrainConfig:
    """`srgan_8` in miniature: 4 blocks of 32 channels over a bicubic skip, 88 px, no perceptual network.

    L1 and 0.1 of the adversarial loss; 360 PSNR and 120 GAN updates of 4 crops, about 35 CPU-seconds.
    """
    return derived(
        demo,
        "miniature_matrix",
        {
            "data.crop_px": 88,
            "data.eval_images": 8,
            "data.eval_crop_px": 88,
            "data.eval_crop_at": "key",
            "discriminator.base_channels": 24,
            "objective.delta_db": 1.5,
            "run.psnr_steps": 360,
            "run.eval_every_steps": 60,
            "run.log_every_steps": 20,
            "run.checkpoint_every_steps": 120,
        },
    )


def miniature_colorize() -> TrainConfig:
    """`colorize` in miniature: scale 1 from grey over the grey image itself, 64 px, L2 and adversarial."""
    return derived(
        miniature_matrix,
        "miniature_colorize",
        {
            "generator.scale": 1,
            "data.input": "grey",
            "data.crop_px": 64,
            "data.eval_crop_px": 64,
            "generator.num_blocks": 3,
            "generator.channels": 24,
            "loss.pixel": "l2",
            "loss.adversarial_weight": 1e-3,
            "run.psnr_steps": 160,
            "run.gan_steps": 40,
            "run.eval_every_steps": 40,
        },
    )


def miniature_edges() -> TrainConfig:
    """`edges_to_photo` in miniature: 80 px faces, so x1 to x16 are inputs of 80, 40, 20, 10 and 5 px.

    Batch norm as published: without a bicubic skip, a generator without norm learns far more slowly here.
    """
    return derived(
        miniature_matrix,
        "miniature_edges",
        {
            "generator.scale": 1,
            "generator.global_skip": "none",
            "data.input": "edges",
            "data.crop_px": 80,
            "data.eval_crop_px": 80,
            "data.eval_crop_at": "centre",
            "generator.num_blocks": 3,
            "generator.channels": 24,
            "generator.norm": "batch",
            "loss.adversarial_weight": 1e-3,
            "optim.lr_psnr": 2e-3,
            "run.psnr_steps": 400,
            "run.gan_steps": 30,
            "run.eval_every_steps": 30,
        },
    )


def miniature_upsampler() -> TrainConfig:
    """`staged_upsampler` in miniature: 64 px faces, 3 blocks of 24 channels, 200 updates of 4 as five epochs.

    Its VGG loss compares conv2_2 of VGG16. Batch norm as published and a high learning rate, so that 600
    updates reach bicubic; no bicubic skip, which would hide the effect of an upsampler.
    """
    return derived(
        miniature_matrix,
        "miniature_upsampler",
        {
            "generator.num_blocks": 3,
            "generator.channels": 24,
            "generator.norm": "batch",
            "generator.global_skip": "none",
            "discriminator.base_channels": 16,
            "data.crop_px": 64,
            "data.eval_crop_px": 64,
            "data.eval_crop_at": "centre",
            "data.eval_images": 24,
            "loss.pixel": "l2",
            "loss.adversarial_weight": 1e-3,
            **vgg16("conv2_2"),
            "optim.lr_g": 3e-3,
            "optim.lr_d": 1e-3,
            "run.psnr_steps": 0,
            "run.gan_steps": 200,
            "run.eval_every_steps": 40,
            "run.log_every_steps": 5,
            "run.checkpoint_every_steps": 100,
        },
    )


def miniature_plane() -> TrainConfig:
    """Both phases of `esrgan` in miniature on the built-in photographs: 4 blocks of 32, 64 px, no VGG.

    So that the two ends of the plane differ: a small patch discriminator with batch norm and a high learning
    rate, because the pooled one of the other miniatures teaches little in so few updates; the relativistic
    loss, three times their adversarial weight and a twentieth of their pixel weight.
    """
    return derived(
        miniature_matrix,
        "miniature_plane",
        {
            "data.crop_px": 64,
            "data.eval_crop_px": 0,
            "data.eval_crop_at": "centre",
            "discriminator.kind": "patch",
            "discriminator.num_layers": 3,
            "discriminator.norm": "batch",
            "loss.adversarial": "relativistic",
            "loss.adversarial_weight": 0.3,
            "loss.pixel_weight": 0.05,
            "optim.lr_g": 3e-4,
            "optim.lr_d": 2e-3,
            "run.psnr_steps": 480,
            "run.gan_steps": 360,
            "run.eval_every_steps": 90,
        },
    )


def miniature_review() -> TrainConfig:
    """`srresnet` in miniature on the built-in photographs: 4 blocks of 32 over a bicubic skip, MSE alone."""
    return derived(
        miniature_matrix,
        "miniature_review",
        {"data.crop_px": 64, "data.eval_crop_px": 0, "data.eval_crop_at": "centre", "loss.pixel": "l2"}
        | {"run.gan_steps": 0}
        | judged_by_lpips(),
    )
