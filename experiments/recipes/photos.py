"""Recipes of your own photographs: sizes by the hardware, loss and measure by the installed weights."""

from dataclasses import replace
from typing import Any

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

MEASURES = (
    ("vgg19", "dists"),
    ("vgg19", "lpips_vgg"),
    ("vgg16", "lpips_alex"),
    ("vgg19", "lpips_alex"),
    ("", "dists"),
    ("", "lpips_vgg"),
    ("", "lpips_alex"),
    ("", "swd"),
)
"""Network of the content loss and perceptual objective, best first; they never share weights."""
GRID_WEIGHT = 10.0
"""Weight of the grid loss. After 1,371 PSNR and 685 GAN steps of photos_small on 390 faces the pattern
(grid_detail) is 0.034 with it and 0.090 without, at the same LPIPS; with pixel shuffle 0.037 and 0.18."""


def photos() -> TrainConfig:
    """Return a recipe that upscales your own photographs 4 times, on a GPU: 8 blocks of 64 channels.

    The GAN phase adds L1 on VGG features (conv3_3 before activation, weight 0.1) to L1 on pixels (0.1), if
    the weights of a VGG and of a metric on another network are installed (MEASURES); otherwise L1 on pixels
    alone counts 1. The grid loss keeps short phases from drawing the pattern of the upsampling grid. Crops
    and evaluation are made to fit the images (orchestrator/sweep/fit_images.py), and --hours sets the length
    of both phases.
    """
    return TrainConfig(
        recipe="photos",
        data=DataConfig(crop_px=96, batch_size=16, eval_images=32),
        generator=GeneratorConfig(num_blocks=8, norm="none", upsampler="nearest_conv", global_skip="bicubic"),
        discriminator=DiscriminatorConfig(norm="none"),
        optim=OptimConfig(lr_psnr=4e-4, psnr_schedule="one_cycle"),
        run=RunConfig(
            psnr_steps=200_000,
            gan_steps=100_000,
            psnr_eval_every_steps=10_000,
            eval_every_steps=2_500,
            checkpoint_every_steps=2_500,
        ),
        **_measured(),
    )


def photos_small() -> TrainConfig:
    """Return a recipe that is `photos` for CPU cores: 4 blocks of 32 channels, 4 crops of 64 px a batch."""
    return derived(
        photos,
        "photos_small",
        {
            "data.crop_px": 64,
            "data.batch_size": 4,
            "data.eval_images": 8,
            "generator.num_blocks": 4,
            "generator.channels": 32,
            "discriminator.base_channels": 32,
            "discriminator.num_layers": 6,
            "optim.lr_psnr": 5e-4,  # at 1e-3 one of three PSNR phases of 8 blocks collapsed
            "optim.lr_g": 2e-4,
            "optim.lr_d": 4e-4,
            "optim.gan_schedule": "constant",
            "run.psnr_steps": 24_000,
            "run.gan_steps": 12_000,
            "run.psnr_eval_every_steps": 2_000,
            "run.eval_every_steps": 500,
            "run.checkpoint_every_steps": 500,
            "run.ema_decay": 0.99,
        },
    )


def loss_on_features(network: str) -> LossConfig:
    """Return the GAN's loss: L1 on a VGG's conv3_3 before activation, L1 on pixels, and adversarial."""
    return LossConfig(
        pixel="l1",
        pixel_weight=0.1,
        content_weight=0.1,
        content_network=network,
        content_layer="conv3_3",
        content_activation=False,
        content_criterion="l1",
        content_scale=1.0,
        adversarial_weight=0.05,
    )


def _measured() -> dict[str, Any]:
    """Return the losses and objectives that the installed weights allow."""
    from trainers import weights  # torch: --help need not wait for it

    def installed(network: str, metric: str) -> bool:
        return not weights.missing([*filter(None, [network]), *weights.NEEDS.get(metric, ())])

    network, metric = next(pair for pair in MEASURES if installed(*pair))
    on_pixels = LossConfig(pixel="l1", pixel_weight=1.0, content_weight=0.0, adversarial_weight=0.05)
    loss = loss_on_features(network) if network else on_pixels
    loss = replace(loss, grid_weight=GRID_WEIGHT)
    return {"loss": loss, "objective": ObjectiveConfig(perceptual=metric)}
