"""The recipe of commands without options; the studies' miniatures are derived from it."""

from datasets.config import DataConfig
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
    """Return a recipe that upscales 4 times and trains in minutes on two CPU cores.

    Its images are the photographs that the packages scikit-image, scikit-learn and matplotlib contain.

    A 32-channel SRResNet adds to the bicubic enlargement of its input and is trained with L1 on [-1, 1], then
    briefly as a GAN. There is no VGG loss, because the weights of VGG would have to be downloaded; the
    perceptual metric is SWD, because it needs no network. Batches have 4 crops, because in a fixed time many
    small updates gained twice as much as few large ones. The GAN phase may lose at most 0.15 dB: networks
    that lost more in so few steps had learnt to add noise, not texture.

    A GAN phase is evaluated 6 times: an evaluation of 24 images costs as much as 4 updates.

    A sweep has 4 PSNR phases of 480 steps, the warm starts, and 14 GAN phases of 120: 8 trials, 4 repeats and
    2 confirmations, which have 2 PSNR phases of their own and a longer one that the GAN must better. Measured
    on two cores: 0.12 CPU-hours of training, 5 minutes with the starts of workers, the test stage and the
    report.
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
            eval_every_steps=20,
            log_every_steps=20,
            checkpoint_every_steps=40,
            ema_decay=0.97,
            bn_recalibration_batches=2,
        ),
        objective=ObjectiveConfig(perceptual="swd", delta_db=0.15),
    )
