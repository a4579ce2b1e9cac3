"""Generators and discriminators by name, and the functions that build them.

batch_norm     batch norm that is synchronised over ranks, and its recalibration
derive         a new network that begins as a trained one of another architecture
discriminator  discriminators with one logit per image
layers         layers that several networks share
patch          discriminators with one logit per patch or pixel
public         architectures from spandrel
rrdb, srcnn, srresnet  our own generators
upsample       upsampling stages and the bicubic skip

The table of generators is trainers/config/generators.py. Every generator takes and returns (N, C, H, W) in
[0, 1], RGB or the `image_channels` of its settings (the output is not clamped), and names its last
convolution `tail`; every discriminator returns logits, never probabilities.
"""

import copy
from collections.abc import Callable
from importlib import import_module

from torch import nn

from datasets.errors import UserError
from trainers import plugins
from trainers.config import DiscriminatorConfig, GeneratorConfig
from trainers.config.generators import GENERATORS
from trainers.models.discriminator import ESRGANDiscriminator, PaperDiscriminator, SizeFree
from trainers.models.patch import PatchDiscriminator, UNetDiscriminator
from trainers.models.upsample import UPSAMPLERS

__all__ = ["DISCRIMINATORS", "UPSAMPLERS", "bands_of", "build_discriminator", "build_generator", "deployed"]

DISCRIMINATORS: dict[str, Callable[[DiscriminatorConfig], nn.Module]] = {
    "size_free": SizeFree,
    "paper": PaperDiscriminator,
    "esrgan": ESRGANDiscriminator,
    "patch": PatchDiscriminator,
    "unet_sn": UNetDiscriminator,
}


def build_generator(config: GeneratorConfig) -> nn.Module:
    """Return a new generator: (N, C, h, w) in [0, 1] -> (N, C, scale*h, scale*w), nominally in [0, 1].

    Its weights are drawn from torch's global random state.

    Raises:
        UserError: the user's own network cannot be built.
    """
    row = GENERATORS[config.kind]
    if row.own:
        network = plugins.call("generator.kind", config.kind, config)
        if not isinstance(network, nn.Module):
            raise UserError(f"generator.kind {config.kind} must return a torch module, but got {network!r}")
        return network
    # imported by need: spandrel takes seconds, which a worker without a public architecture need not wait for
    place = "public.PublicNetwork" if row.public else row.network
    module, _, name = place.rpartition(".")
    return getattr(import_module(f"trainers.models.{module}"), name)(config)


def bands_of(network: nn.Module) -> int:
    """Return the number of bands that a generator takes: 3 but for those that were built for others."""
    return int(getattr(network, "image_channels", 3))


def deployed(network: nn.Module) -> nn.Module:
    """Return a copy of `network` for inference: branches that exist for training only are merged."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if hasattr(child, "deployed"):
                setattr(module, name, child.deployed())
    return copied


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """Return a new discriminator: (N, C, H, W) in [0, 1] -> logits."""
    return DISCRIMINATORS[config.kind](config)
