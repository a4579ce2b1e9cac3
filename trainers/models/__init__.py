"""The networks by name: two literal tables and the two functions that read them.

Every generator takes and returns (N, 3, H, W) RGB in [0, 1] (the output is not clamped) and calls its last
convolution `tail`; every discriminator returns logits, never probabilities. No training happens here.
"""

from collections.abc import Callable

from torch import nn

from datasets.errors import unknown
from trainers.config import DiscriminatorConfig, GeneratorConfig
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
    """The network `config.kind` names, freshly drawn: (N, 3, h, w) -> (N, 3, scale*h, scale*w) in [0, 1].

    Raises:
        UserError: when the table has no such generator.
    """
    if config.kind not in GENERATORS:
        raise unknown("generator", config.kind, GENERATORS, "generator.kind")
    return GENERATORS[config.kind](config)


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """The network `config.kind` names, freshly drawn: (N, 3, H, W) in [0, 1] -> logits.

    Raises:
        UserError: when the table has no such discriminator.
    """
    if config.kind not in DISCRIMINATORS:
        raise unknown("discriminator", config.kind, DISCRIMINATORS, "discriminator.kind")
    return DISCRIMINATORS[config.kind](config)
