"""The check of a user's own network, loss and metric on small random images, before anything is trained."""

import numpy as np
import torch
from torch import Tensor

from datasets.errors import UserError
from trainers import plugins
from trainers.config import TrainConfig
from trainers.metrics import METRICS
from trainers.metrics.image_view import View, Views
from trainers.models import build_generator

SIZES = ((1, 32, 24), (2, 24, 40))
"""Images, height and width of the inputs that a network is tried with: it must accept any size."""
SIDE = 128
"""Side in pixels of the images that a loss and a metric are tried with."""


def check_plugins(config: TrainConfig) -> None:
    """Run each network, loss and metric of the user that `config` names once.

    Raises:
        UserError: one raises, cannot be imported here, or returns another shape or type than it must.
    """
    if plugins.is_own(config.generator.kind):
        _check_network(config)
    if config.loss.extra_weight:
        _check_loss(config)
    for name in dict.fromkeys((config.objective.perceptual, config.objective.distortion)):
        if plugins.is_own(name):
            pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
            METRICS[name].function(*(Views([View(image)]) for image in pixels))


def _check_network(config: TrainConfig) -> None:
    kind, scale = config.generator.kind, config.generator.scale
    with torch.random.fork_rng(devices=[]):
        network = build_generator(config.generator)
        if not any(p.requires_grad for p in network.parameters()):
            raise UserError(f"generator.kind {kind} has no parameters to train")
        for n, height, width in SIZES:
            sr = _forward(network.eval(), torch.rand(n, 3, height, width), kind)
            wanted = (n, 3, height * scale, width * scale)
            if not isinstance(sr, Tensor) or tuple(sr.shape) != wanted:
                got = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
                raise UserError(
                    f"generator.kind {kind} must turn {(n, 3, height, width)} into {wanted} at "
                    f"generator.scale {scale}, but returns {got}"
                )


@torch.no_grad()
def _forward(network: torch.nn.Module, lr_image: Tensor, kind: str) -> object:
    try:
        return network(lr_image)
    except Exception as error:  # whatever a user's code may raise
        raise UserError(
            f"generator.kind {kind} raised {plugins.describe(error)} for an input of {tuple(lr_image.shape)}"
        ) from error


def _check_loss(config: TrainConfig) -> None:
    from trainers.step_losses import extra_loss

    draw = torch.Generator().manual_seed(0)
    sr, hr = torch.rand(2, 2, 3, SIDE, SIDE, generator=draw)
    value = extra_loss(config.loss.extra, sr.requires_grad_(), hr)
    if not value.requires_grad:
        raise UserError(
            f"loss.extra {config.loss.extra} has no gradient to the generated images, its first argument"
        )
    if not value.isfinite():
        raise UserError(f"loss.extra {config.loss.extra} must be finite, but returned {value.item()}")
