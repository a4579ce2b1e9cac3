"""The rows of the SRGAN review and of the SRCNN against ESRGAN comparison, at full scale and in miniature."""

from typing import Any

from experiments import recipes
from experiments.recipes.miniatures import vgg16
from orchestrator.studies.kinds.benchmark_review import (
    ESRGAN,
    MSE,
    SHARPENED,
    SRCNN,
    SRRESNET,
    VGG22,
    VGG54,
    Arm,
)
from trainers.config import TrainConfig, override

_SRCNN = {
    "generator.kind": "srcnn_915",
    "generator.num_blocks": 1,
    "generator.upsampler": "bicubic_input",
    "generator.colors": "y",
    "loss.pixel_colors": "y",
}
_RRDB = {
    "generator.kind": "rrdb",
    "generator.num_blocks": 1,
    "generator.channels": 16,
    "generator.growth": 8,
    "generator.upsampler": "nearest_conv",
    "loss.pixel": "l1",
    "loss.adversarial": "relativistic",
    "loss.adversarial_weight": 1e-3,
}


def arms(kind: str, config: TrainConfig, miniature: bool) -> dict[str, Arm]:
    """Return the arms by name in the order of the table; `config` is the study's recipe with overrides."""
    return ARMS[kind][miniature](config)


def _review(config: TrainConfig) -> dict[str, Arm]:
    """Return the arms of the SRGAN review at full scale, the rows of Ledig et al. (2017), table 1.

    SRCNN and SRResNet-MSE begin with new weights. SRResNet-VGG22 and the three SRGANs have no PSNR phase
    of their own, because they start from the trained SRResNet-MSE.
    """
    rows = {
        SRCNN: Arm(override(recipes.build("srcnn_955"), {"generator.scale": 4, "data.crop_px": 96})),
        SRRESNET: Arm(config),
    }
    for name in ("srresnet_vgg22", "srgan_mse", "srgan_vgg22", "srgan_vgg54"):
        own = override(recipes.build(name), {"run.psnr_steps": 0})
        rows[name.replace("_", "-").upper().replace("SRRESNET", "SRResNet")] = Arm(own, SRRESNET)
    return rows


def _small_review(config: TrainConfig) -> dict[str, Arm]:
    """Return these arms without SRResNet-VGG22, small enough for a CPU, and a sharpened SRResNet.

    The two on VGG compare layers of VGG16 for VGG19's, conv5_3 for VGG54. Without its weights they are left
    out.
    """
    gan: dict[str, Any] = {"run.psnr_steps": 0, "run.gan_steps": 80, "loss.adversarial_weight": 1e-2}
    rows = {
        SRCNN: Arm(override(config, _SRCNN)),
        SRRESNET: Arm(config),
        SRRESNET + SHARPENED: Arm(config, SRRESNET, "sharpened"),
        MSE: Arm(override(config, gan), SRRESNET),
    }
    for name, layer in ((VGG22, "conv2_2"), (VGG54, "conv5_3")):
        loss = vgg16(layer)
        if loss["loss.content_weights"] != "random":
            more = {"loss.content_weight": 1.0, "loss.pixel_weight": 0.0, "loss.adversarial_weight": 1e-3}
            rows[name] = Arm(override(config, gan | loss | more), SRRESNET)
    return rows


def _versus(config: TrainConfig) -> dict[str, Arm]:
    """Return SRCNN on RGB, and the 16-block ESRGAN that the comparison trained itself."""
    return {SRCNN: Arm(recipes.build("srcnn_955_rgb")), ESRGAN: Arm(config)}


def _small_versus(config: TrainConfig) -> dict[str, Arm]:
    two = override(config, {"generator.scale": 2})
    rgb = {**_SRCNN, "generator.kind": "srcnn_955", "generator.colors": "rgb", "loss.pixel_colors": "rgb"}
    srcnn = override(two, rgb)
    return {
        SRCNN: Arm(srcnn),
        SRCNN + SHARPENED: Arm(srcnn, SRCNN, "sharpened"),
        ESRGAN: Arm(override(two, _RRDB | {"run.gan_steps": 60})),
    }


ARMS = {"srgan_review": (_review, _small_review), "srcnn_vs_esrgan": (_versus, _small_versus)}
"""Arms of each study that is one table: at full scale, and in miniature."""
STUDIES = tuple(ARMS)
REFERENCES = (SRCNN, SRRESNET)
"""Arms that others are compared with or start from, and their sentinels."""
