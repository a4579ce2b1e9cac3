"""Generators and discriminators by name, and the two functions that build them.

batch_norm     batch norm that is synchronised over ranks, and its recalibration
discriminator  discriminators with one logit per image
layers         layers that several networks share
patch          discriminators with one logit per patch or pixel
rrdb, srcnn, srresnet  the generators
upsample       upsampling stages and the bicubic skip

Every generator takes and returns (N, 3, H, W) RGB in [0, 1] (the output is not clamped) and names its last
convolution `tail`; every discriminator returns logits, never probabilities.
"""

from collections.abc import Callable

from torch import nn

from trainers.config import DiscriminatorConfig, GeneratorConfig
from trainers.config.checks import choose
from trainers.models.discriminator import ESRGANDiscriminator, PaperDiscriminator, SizeFree
from trainers.models.patch import PatchDiscriminator, UNetDiscriminator
from trainers.models.rrdb import RRDBNet
from trainers.models.srcnn import srcnn_915, srcnn_955
from trainers.models.srresnet import LeftThomas, SRResNet
from trainers.models.upsample import UPSAMPLERS

__all__ = ["DISCRIMINATORS", "GENERATORS", "UPSAMPLERS", "build_discriminator", "build_generator"]

GENERATORS: dict[str, Callable[[GeneratorConfig], nn.Module]] = {
    "srresnet": SRResNet,
    "leftthomas": LeftThomas,
    "rrdb": RRDBNet,
    "srcnn_915": srcnn_915,
    "srcnn_955": srcnn_955,
}

DISCRIMINATORS: dict[str, Callable[[DiscriminatorConfig], nn.Module]] = {
    "size_free": SizeFree,
    "paper": PaperDiscriminator,
    "esrgan": ESRGANDiscriminator,
    "patch": PatchDiscriminator,
    "unet_sn": UNetDiscriminator,
}


def build_generator(config: GeneratorConfig) -> nn.Module:
    """Return a new generator: (N, 3, h, w) in [0, 1] -> (N, 3, scale*h, scale*w), nominally in [0, 1].

    Its weights are drawn from torch's global random state.

    Raises:
        UserError: no generator has the name `config.kind`.
    """
    return choose("generator", config.kind, GENERATORS, "generator.kind")(config)


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """Return a new discriminator: (N, 3, H, W) in [0, 1] -> logits.

    UserError if no discriminator has the name `config.kind`.
    """
    return choose("discriminator", config.kind, DISCRIMINATORS, "discriminator.kind")(config)
