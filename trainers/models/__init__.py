"""The networks by name: two literal tables and the two functions that read them.

Every generator takes and returns (N, 3, H, W) RGB in [0, 1] (the output is not clamped); every
discriminator returns logits, never probabilities. No training happens here.
"""

from collections.abc import Callable

from torch import nn

from datasets.errors import unknown
from trainers.config import DiscriminatorConfig, GeneratorConfig
from trainers.models.discriminator import SizeFree
from trainers.models.srresnet import SRResNet
from trainers.models.upsample import UPSAMPLERS

__all__ = ["DISCRIMINATORS", "GENERATORS", "UPSAMPLERS", "build_discriminator", "build_generator"]

GENERATORS: dict[str, Callable[[GeneratorConfig], nn.Module]] = {"srresnet": SRResNet}

DISCRIMINATORS: dict[str, Callable[[DiscriminatorConfig], nn.Module]] = {"size_free": SizeFree}


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
