"""Recipes of the SRGAN family, and of the tasks that reuse its network.

A docstring names the source and every known departure from it. If a source gives no value (several give no
learning rate), the value here is our choice.
"""

from typing import Any

from datasets.config import DataConfig
from experiments.recipes.derive import derived
from trainers.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)

_SHORT: dict[str, Any] = {
    "psnr_eval_every_steps": 125,
    "eval_every_steps": 125,
    "log_every_steps": 25,
    "checkpoint_every_steps": 125,
}


def srresnet() -> TrainConfig:
    """SRResNet-MSE, 16 blocks, x4 (Ledig et al., 2017, sec. 3.2): Adam 1e-4, a million updates.

    Departures: averaged weights are measured; training images are DIV2K, theirs are 350,000 of ImageNet.
    """
    return TrainConfig(
        recipe="srresnet",
        data=DataConfig(train="div2k", crop_px=96, batch_size=16),
        discriminator=DiscriminatorConfig(kind="paper", image_px=96),
        run=RunConfig(psnr_steps=1_000_000, gan_steps=0),
    )


def srresnet_vgg22() -> TrainConfig:
    """SRResNet trained on VGG22 features alone (Ledig et al., 2017, table 1): no adversarial loss.

    Like the SRGANs it starts from SRResNet-MSE, and so runs as a GAN phase whose discriminator is not used.
    """
    return derived(
        srresnet,
        "srresnet_vgg22",
        {"run.gan_steps": 200_000, "loss.content_layer": "conv2_2", "loss.adversarial_weight": 0.0},
    )


def srgan_mse() -> TrainConfig:
    """SRGAN-MSE: the pixel loss as content, and 1e-3 of the adversarial (Ledig et al., 2017, sec. 3.3)."""
    return derived(
        srresnet,
        "srgan_mse",
        {"run.gan_steps": 200_000, "loss.content_weight": 0.0, "loss.pixel_weight": 1.0},
    )


def srgan_vgg22() -> TrainConfig:
    """SRGAN-VGG22: features of the second convolution of the second block (Ledig et al., 2017, sec. 3.3)."""
    return derived(srresnet, "srgan_vgg22", {"run.gan_steps": 200_000, "loss.content_layer": "conv2_2"})


def srgan_vgg54() -> TrainConfig:
    """SRGAN, x4 (Ledig et al., 2017): VGG54 after its ReLU with features times 1/12.75, adversarial 1e-3.

    From SRResNet-MSE, 100,000 updates at 1e-4 and 100,000 at 1e-5, one of D for each of G, D first.
    """
    return derived(srresnet, "srgan_vgg54", {"run.gan_steps": 200_000})


def srgan_8() -> TrainConfig:
    """SRGAN with 8 residual blocks on 128 px faces, x4, by the text of Takano & Alaghband (2019).

    Departures: VGG19 conv5_4 with ImageNet normalisation and 1/12.75 as in Ledig et al. (2017), where the
    text says a 16-layer VGG; a PSNR phase before the GAN phase, which their code does not have.
    """
    return TrainConfig(
        recipe="srgan_8",
        data=DataConfig(train="celeba", crop_px=128, batch_size=16),
        generator=GeneratorConfig(num_blocks=8),
        run=RunConfig(psnr_steps=100_000, gan_steps=100_000),
    )


def srgan_leftthomas() -> TrainConfig:
    """SRGAN by the code of Takano & Alaghband (2019): github.com/leftthomas/SRGAN, 5 blocks, 128 px faces.

    Adam 1e-3 for both, no schedule, no warm start, 31,250 updates of 64 images (10 epochs of 200,000); 6e-3
    of VGG16 pool5 on images that are not normalised, 1e-3 of the linear adversarial loss, 2e-8 of total
    variation. The pixel weight is 1/4, because theirs is measured on [0, 1] and ours on [-1, 1].
    Departures: averaged weights are measured; crops are mirrored; inputs are made by MATLAB's bicubic, theirs
    by Pillow's; both losses come from one D(fake) before either network is updated, which is the meaning of
    their order of calls.
    """
    return TrainConfig(
        recipe="srgan_leftthomas",
        data=DataConfig(train="celeba", crop_px=128, batch_size=64),
        generator=GeneratorConfig(kind="leftthomas", num_blocks=5),
        loss=LossConfig(
            pixel_weight=0.25,
            content_weight=0.006,
            content_network="vgg16",
            content_layer="pool5",
            content_normalise=False,
            content_scale=1.0,
            adversarial="linear",
            adversarial_weight=1e-3,
            tv_weight=2e-8,
        ),
        optim=OptimConfig(lr_g=1e-3, lr_d=1e-3, gan_schedule="constant", update_order="simultaneous"),
        run=RunConfig(psnr_steps=0, gan_steps=31_250),
    )


def srgan_transposed() -> TrainConfig:
    """The upsampling lab report's SRGAN with two transposed convolutions, 15 epochs of 2,000 faces, x4.

    Discriminator with PReLU, as its text says. It leaves open the learning rate (1e-4 here), the batch (16),
    the kernel (divisible by the stride here) and VGG's factor (1/12.75). Departures: square crops of 176 px
    of its 176 x 216; a PSNR phase of five of the fifteen epochs.
    """
    return TrainConfig(
        recipe="srgan_transposed",
        data=DataConfig(train="celeba", crop_px=176, batch_size=16),
        generator=GeneratorConfig(upsampler="transposed_conv"),
        discriminator=DiscriminatorConfig(activation="prelu"),
        run=RunConfig(psnr_steps=625, gan_steps=1_250, **_SHORT),
    )


def staged_upsampler(stage: int = 1) -> TrainConfig:
    """The upsampling lab report's schedule of three stages, five epochs of 2,000 faces each, x4.

    1: interpolation and one transposed convolution, pixel loss; 2: two transposed convolutions, pixel loss;
    3: two transposed convolutions, VGG loss. Each stage starts from the weights of the previous stage that
    fit (run.start_from). Otherwise as `srgan_transposed`, without a PSNR phase.
    """
    upsampler = {1: "interp_transposed", 2: "transposed_conv", 3: "transposed_conv"}[stage]
    content = {"loss.pixel_weight": 0.0, "loss.content_weight": 1.0}
    pixels = {"loss.pixel_weight": 1.0, "loss.content_weight": 0.0}
    return derived(
        srgan_transposed,
        "staged_upsampler" if stage == 1 else f"staged_upsampler_{stage}",
        {
            "generator.upsampler": upsampler,
            "run.psnr_steps": 0,
            "run.gan_steps": 625,
            "optim.gan_schedule": "constant",
            **(content if stage == 3 else pixels),
        },
    )


def staged_upsampler_2() -> TrainConfig:
    """The second stage of `staged_upsampler`: set run.start_from to the checkpoint of the first."""
    return staged_upsampler(2)


def staged_upsampler_3() -> TrainConfig:
    """The third stage of `staged_upsampler`: set run.start_from to the checkpoint of the second."""
    return staged_upsampler(3)


def colorize() -> TrainConfig:
    """Colouring (Takano & Alaghband, 2019, sec. 5.1): `srgan_8` at scale 1 from grey faces, L2 as content."""
    return derived(
        srgan_8,
        "colorize",
        {"generator.scale": 1, "data.input": "grey", "loss.pixel_weight": 1.0, "loss.content_weight": 0.0},
    )


def edges_to_photo() -> TrainConfig:
    """Edges to photo (Takano & Alaghband, 2019, sec. 5.2): `srgan_8` from Canny edges, scale 1, L1.

    Faces of 176 px from the published 178 x 218. Set generator.scale to 2, 4, 8 or 16 for their other scales,
    and loss.pixel to l2 for their other loss.
    """
    return derived(
        srgan_8,
        "edges_to_photo",
        {
            "generator.scale": 1,
            "data.crop_px": 176,
            "data.eval_crop_px": 176,
            "data.input": "edges",
            "loss.pixel": "l1",
            "loss.pixel_weight": 1.0,
            "loss.content_weight": 0.0,
        },
    )
