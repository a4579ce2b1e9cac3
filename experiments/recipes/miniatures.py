"""Recipes of the studies in miniature: real images and the whole machinery, in minutes of two CPU cores.

Each departs from its published training in length, width and batch. docs/results.md gives the answers of the
miniatures with their scale.
"""

from typing import Any

from experiments.recipes.demo import demo
from experiments.recipes.derive import derived
from experiments.recipes.photos import loss_on_features
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


def on_vgg16() -> dict[str, Any]:
    """Return the GAN's loss of `photos` on VGG16; without its weights nothing, so L1 and 0.1 adversarial."""
    from trainers import weights

    if weights.missing(["vgg16"]):
        return {}
    return {f"loss.{name}": value for name, value in vars(loss_on_features("vgg16")).items()}


def _small() -> TrainConfig:
    """Return what the miniatures share: `demo` at 88 px, with a smaller discriminator and no VGG."""
    return derived(
        demo,
        "miniature",
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


def miniature_matrix() -> TrainConfig:
    """`srgan_8` in miniature: 4 blocks of 32 channels over a bicubic skip, 88 px, VGG16 for VGG19.

    360 PSNR and 240 GAN updates of 4 crops, about a CPU-minute.
    """
    return derived(_small, "miniature_matrix", {"run.gan_steps": 240} | on_vgg16())


def miniature_colorize() -> TrainConfig:
    """`colorize` in miniature: scale 1 from grey over the grey image itself, 64 px, L2 and adversarial."""
    return derived(
        _small,
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
        _small,
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
        _small,
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
    """Both phases of `esrgan` in miniature on the built-in photographs: 4 blocks of 32, VGG16 for VGG19.

    Nearest-neighbour upsampling and the relativistic loss as published. The GAN phase has little pixel loss
    and is long enough that its perception differs from the PSNR phase's.
    """
    return derived(
        _small,
        "miniature_plane",
        on_vgg16()
        | {
            "data.crop_px": 64,
            "data.eval_crop_px": 0,
            "data.eval_crop_at": "centre",
            "generator.upsampler": "nearest_conv",
            "discriminator.base_channels": 32,
            "loss.adversarial": "relativistic",
            "run.psnr_steps": 960,
            "run.gan_steps": 600,
            "run.eval_every_steps": 150,
        },
    )


def miniature_review() -> TrainConfig:
    """`srresnet` in miniature on the built-in photographs: 4 blocks of 32 over a bicubic skip, MSE alone."""
    return derived(
        _small,
        "miniature_review",
        {"data.crop_px": 64, "data.eval_crop_px": 0, "data.eval_crop_at": "centre", "loss.pixel": "l2"}
        | {"run.gan_steps": 0}
        | judged_by_lpips(),
    )
