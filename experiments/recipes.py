"""Recipes: functions that return a whole config. One per published or shown training."""

from collections.abc import Callable

from datasets.config import DataConfig
from datasets.errors import unknown
from trainers.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    ObjectiveConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)


def demo() -> TrainConfig:
    """x4 on the photographs inside scikit-image and scikit-learn, sized for two CPU cores.

    A 32-channel SRResNet over a bicubic skip, L1 on [-1, 1] with a small GAN phase; no VGG, because its
    weights would have to be downloaded, and SWD as the perceptual metric, because it needs none. Batches
    of 4: in a fixed time many small updates went twice as far as few large ones. At most 0.15 dB may be
    lost to the GAN phase, which in so few steps is what separates texture from noise.
    """
    return TrainConfig(
        recipe="demo",
        data=DataConfig(train="demo", crop_px=64, batch_size=4, eval_images=24),
        generator=GeneratorConfig(num_blocks=4, channels=32, norm="none", global_skip="bicubic"),
        discriminator=DiscriminatorConfig(base_channels=32, num_layers=6, norm="none"),
        loss=LossConfig(pixel="l1", pixel_weight=1.0, content_weight=0.0, adversarial_weight=0.1),
        optim=OptimConfig(
            lr_psnr=1e-3, lr_g=2e-4, lr_d=4e-4, psnr_schedule="one_cycle", gan_schedule="constant"
        ),
        run=RunConfig(
            psnr_steps=480,
            gan_steps=120,
            psnr_eval_every_steps=120,
            eval_every_steps=8,
            log_every_steps=8,
            checkpoint_every_steps=40,
            ema_decay=0.97,
            bn_recalibration_batches=2,
        ),
        objective=ObjectiveConfig(perceptual="swd", delta_db=0.15),
    )


def srgan_8() -> TrainConfig:
    """SRGAN with 8 residual blocks on 128 px faces, x4 (Takano & Alaghband, 2019, as their text has it).

    Departures: VGG19 conv5_4 with ImageNet normalisation and 1/12.75 as in Ledig et al. (2017), where the
    text says a 16-layer VGG; a PSNR phase before the GAN phase, where their code has none.
    """
    return TrainConfig(
        recipe="srgan_8",
        data=DataConfig(train="celeba", crop_px=128, batch_size=16),
        generator=GeneratorConfig(num_blocks=8),
        run=RunConfig(psnr_steps=100_000, gan_steps=100_000),
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {"demo": demo, "srgan_8": srgan_8}


def build(name: str) -> TrainConfig:
    """The config of a recipe; UserError for a name that does not exist."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES, "--recipe")
    return RECIPES[name]()
