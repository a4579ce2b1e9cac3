"""Recipes of SRCNN and ESRGAN.

A docstring names the source and every known departure from it. If a source gives no value (several give no
learning rate), the value here is our choice.
"""

from datasets.config import DataConfig
from experiments.recipes.derive import derived
from trainers.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    ObjectiveConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)


def srcnn_915() -> TrainConfig:
    """SRCNN 9-1-5 on luma, x3, by SGD (Dong et al., 2016, sec. 4.1): momentum 0.9, last layer x0.1.

    The rate 5.5e-3 is their 1e-4: their loss is half the sum over 21 x 21 pixels of an image, ours 4 times
    the mean on [-1, 1]. Departures: borders repeat the edge pixel instead of being cut off; crops are
    mirrored; a million updates; their solver allows fifteen million.
    """
    return TrainConfig(
        recipe="srcnn_915",
        data=DataConfig(train="t91", crop_px=33, batch_size=128),
        generator=_srcnn("srcnn_915", scale=3),
        loss=LossConfig(pixel="l2", pixel_colors="y"),
        optim=OptimConfig(kind="sgd", momentum=0.9, lr_psnr=5.5e-3, lr_tail_factor=0.1),
        run=RunConfig(psnr_steps=1_000_000, gan_steps=0, ema_decay=0.0),
        objective=ObjectiveConfig(perceptual="swd"),
    )


def srcnn_915_fast() -> TrainConfig:
    """SRCNN 9-1-5 on luma, x3, within CPU minutes: Adam 1e-3, last layer 1e-4, one cosine, averaged weights.

    Departures from the paper: the optimizer; a bicubic skip, so that training starts at bicubic instead of
    learning the identity first; crops of 48 px, batches of 8.
    """
    return derived(
        srcnn_915,
        "srcnn_915_fast",
        {
            "data.crop_px": 48,
            "data.batch_size": 8,
            "generator.global_skip": "bicubic",
            "optim.kind": "adam",
            "optim.lr_psnr": 1e-3,
            "optim.psnr_schedule": "cosine",
            "run.psnr_steps": 10_000,
            "run.psnr_eval_every_steps": 1_000,
            "run.checkpoint_every_steps": 1_000,
            "run.ema_decay": 0.999,
        },
    )


def srcnn_955() -> TrainConfig:
    """SRCNN 9-5-5 on luma, x3 (Dong et al., 2016, sec. 4.3), otherwise as `srcnn_915`."""
    return derived(srcnn_915, "srcnn_955", {"generator.kind": "srcnn_955"})


def srcnn_955_rgb() -> TrainConfig:
    """SRCNN 9-5-5 on RGB, x2, Adam 1e-4, as the SRCNN against ESRGAN comparison trains it.

    Departure: batches of 20 crops of 96 px for 100,000 updates; its text says 400 iterations, its notebook
    runs 1,000.
    """
    return TrainConfig(
        recipe="srcnn_955_rgb",
        data=DataConfig(train="div2k", crop_px=96, batch_size=20),
        generator=_srcnn("srcnn_955", scale=2, colors="rgb"),
        loss=LossConfig(pixel="l2"),
        run=RunConfig(psnr_steps=100_000, gan_steps=0),
        objective=ObjectiveConfig(perceptual="swd"),
    )


def esrgan() -> TrainConfig:
    """ESRGAN, 23 RRDBs, x4 (Wang et al., 2018): L1, then 1 content, 5e-3 relativistic, 1e-2 L1.

    Content is L1 between VGG54 features before their ReLU; PSNR phase of a million updates at 2e-4, halved
    every 200,000; GAN phase of 400,000 at 1e-4, halved at 50, 100, 200 and 300 thousand. The L1 weights are
    half of theirs, because ours is measured on [-1, 1] and theirs on [0, 1]. The relativistic terms are
    summed, as eq. 1 and 2 are written; `esrgan_code` follows the published code. Departures: DIV2K alone,
    theirs adds Flickr2K and OST; crops are mirrored but not turned.
    """
    return TrainConfig(
        recipe="esrgan",
        data=DataConfig(train="div2k", crop_px=128, batch_size=16),
        generator=GeneratorConfig(kind="rrdb", num_blocks=23, norm="none", upsampler="nearest_conv"),
        discriminator=DiscriminatorConfig(kind="esrgan", image_px=128, num_layers=10),
        loss=LossConfig(
            pixel="l1",
            pixel_weight=0.5e-2,
            content_activation=False,
            content_scale=1.0,
            content_criterion="l1",
            adversarial="relativistic",
            adversarial_weight=5e-3,
        ),
        optim=OptimConfig(
            lr_psnr=2e-4,
            psnr_schedule="step",
            period=0.2,
            milestones=(0.125, 0.25, 0.5, 0.75),
            gamma=0.5,
        ),
        run=RunConfig(psnr_steps=1_000_000, gan_steps=400_000),
    )


def esrgan_code() -> TrainConfig:
    """ESRGAN as the code of the published weights trains it: half the relativistic loss, Adam (.9, .99).

    BasicSR halves the sum of both relativistic terms, so its 5e-3 pulls half as much as in `esrgan`; Adam's
    second moment decays by 0.99, and crops are mirrored and turned. Otherwise as `esrgan`.
    """
    halved = {"loss.adversarial": "relativistic_halved", "optim.beta2": 0.99, "data.rotate": True}
    return derived(esrgan, "esrgan_code", halved)


def esrgan_16() -> TrainConfig:
    """ESRGAN with 16 RRDBs, the smaller network of the paper (Wang et al., 2018, sec. 4.1); else `esrgan`."""
    return derived(esrgan, "esrgan_16", {"generator.num_blocks": 16})


def esrgan_16_x2() -> TrainConfig:
    """The SRCNN against ESRGAN comparison's ESRGAN: 16 RRDBs, x2, content on VGG19 pool3 not normalised.

    Adversarial weight 1e-3 and L1 weight 1 (half of it here, as in `esrgan`), batch 20, bf16. Departures:
    the paper's network; theirs has ReLUs on the head, the trunk and the image, pixel shuffle and the default
    initial weights; a PSNR phase; crops that are mirrored, of which its text says nothing.
    """
    return derived(
        esrgan,
        "esrgan_16_x2",
        {
            "generator.num_blocks": 16,
            "generator.scale": 2,
            "data.batch_size": 20,
            "loss.pixel_weight": 0.5,
            "loss.adversarial_weight": 1e-3,
            "loss.content_layer": "pool3",
            "loss.content_activation": True,
            "loss.content_normalise": False,
            "run.precision": "bf16",
        },
    )


def esrgan_seed() -> TrainConfig:
    """The ESRGAN implementation report's ESRGAN: a cosine PSNR phase, and a GAN phase at 2e-5.

    800 images of DIV2K at 128 px. Departures: random crops, theirs are centred; VGG19 for its "35th layer of
    VGG16", which VGG16 does not have; mirrored but not rotated crops.
    """
    return derived(
        esrgan,
        "esrgan_seed",
        {"optim.psnr_schedule": "cosine", "optim.lr_g": 2e-5, "optim.lr_d": 2e-5},
    )


def _srcnn(kind: str, scale: int, colors: str = "y") -> GeneratorConfig:
    return GeneratorConfig(
        kind=kind, scale=scale, num_blocks=1, norm="none", upsampler="bicubic_input", colors=colors
    )
