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
    """x4 on the photographs inside scikit-image and scikit-learn, sized for two CPU cores.

    A 32-channel SRResNet over a bicubic skip, L1 on [-1, 1] with a small GAN phase; no VGG, because its
    weights would have to be downloaded, and SWD as the perceptual metric, because it needs none. Batches
    of 4: in a fixed time many small updates gained twice as much as few large ones. The GAN phase may lose
    at most 0.15 dB, which in so few steps is the limit between texture and noise.

    Budget in CPU-seconds of one core: PSNR phase 20 (480 steps), GAN phase 20 (120 steps and 16
    evaluations), so a whole sweep of 4 warm starts, 8 trials and 4 confirmations is about 310, under three
    minutes on two cores, and one more for starting workers, checks, test and report.
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
