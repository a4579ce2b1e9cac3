"""Checks before any GPU hour is spent; each failure is one sentence that names the setting to change."""

import numpy as np
import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers import losses, plugins
from trainers.config import TrainConfig
from trainers.metrics import METRICS
from trainers.metrics.image_view import View, Views
from trainers.models import build_generator
from trainers.optimizers import set_rate
from trainers.state import new_state
from trainers.step_losses import StepLosses, build_features, extra_loss
from trainers.train_step import TrainStep, gradient_at_output

OVERFIT_STEPS = 8
PLUGIN_INPUTS = ((1, 32, 24), (2, 24, 40))
"""Images, height and width of the inputs that a user's network is tried with: it must accept any size."""
PLUGIN_SIDE = 128
"""Side in pixels of the images that a user's loss and metric are tried with."""


def check(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> dict[str, float]:
    """Run every check; return the gradient norm of each enabled term at the generator's output.

    hr (N, 3, H, W) and lr_image (N, 3, h, w) in [0, 1].

    Raises:
        UserError: an image range or size is wrong, the gradient of a loss does not reach the generator, or
            a few updates do not lower the loss of one batch.
    """
    check_ranges(hr, lr_image, config.generator.scale)
    norms = term_gradients(config, hr, lr_image)
    for term, norm in norms.items():
        if not norm > 0:
            raise UserError(
                f"the {term} loss is enabled (loss.{term}_weight) but its gradient never reaches the "
                f"generator, which would learn nothing from it: set loss.{term}_weight 0 or correct the loss"
            )
    check_overfit(config, hr, lr_image)
    return norms


def check_ranges(hr: Tensor, lr_image: Tensor, scale: int) -> None:
    """Raise UserError unless both images are in [0, 1] and their sizes differ by exactly `scale`."""
    for name, image in (("target", hr), ("input", lr_image)):
        low, high = image.min().item(), image.max().item()
        if not (0 <= low and high <= 1):
            raise UserError(f"the {name} images must be in [0, 1], but range from {low:.3g} to {high:.3g}")
    if hr.shape[-2:] != (lr_image.shape[-2] * scale, lr_image.shape[-1] * scale):
        raise UserError(
            f"targets of {tuple(hr.shape[-2:])} do not match inputs of {tuple(lr_image.shape[-2:])} at "
            f"generator.scale {scale}"
        )


def term_gradients(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> dict[str, float]:
    """Return the gradient norm of each enabled generator loss at the generator's output, at step 0 of the
    GAN phase (of the PSNR phase if run.gan_steps is 0).

    Raises:
        UserError: every loss weight of the GAN phase is 0.
    """
    device = hr.device
    phase = "gan" if config.run.gan_steps else "psnr"
    state = new_state(config, phase, device)
    sr = state.generator(lr_image).float()
    if phase == "psnr":
        terms = {"pixel": losses.pixel_loss(config.loss.pixel, sr, hr, config.loss.pixel_colors)}
    else:
        assert state.discriminator is not None
        fake, real = state.discriminator(sr), state.discriminator(hr).detach()
        step_losses = StepLosses(config, state, build_features(config, device))
        terms = step_losses.generator_terms(sr, hr, fake, real)
        if not terms:
            raise UserError("every loss weight of the GAN phase is 0; set loss.pixel_weight or another one")
    return {name: gradient_at_output(loss, sr).norm().item() for name, loss in terms.items()}


def check_overfit(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> None:
    """Raise UserError unless a few pixel-loss updates on one batch lower that loss.

    The learning rate is a tenth of its peak, with which schedules with a warm-up begin.
    """
    state = new_state(config, "psnr", hr.device)
    set_rate(state.opt_g, config.optim.lr_psnr / 10)
    step = TrainStep(config, state)
    values = []
    for _ in range(OVERFIT_STEPS):
        step(hr, lr_image)
        state.step += 1
        values.append(step.read()["pixel"])
    # "not <" and not ">=": NaN must fail, too
    if not min(values[1:]) < values[0]:
        raise UserError(
            f"{OVERFIT_STEPS} updates on one batch did not lower the pixel loss "
            f"({values[0]:.4g} -> {values[-1]:.4g}); lower optim.lr_psnr"
        )


def first_batch(loader: object, count: int = 4) -> tuple[Tensor, Tensor]:
    """Return HR and LR of the first `count` images of the loader's first batch, as float32.

    A few images are enough for the checks and cheap on a CPU.
    """
    batch = next(loader.batches(0))  # type: ignore[attr-defined]
    return batch.hr[:count].float(), batch.lr_image[:count].to(torch.float32)


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
            shape = (2, PLUGIN_SIDE, PLUGIN_SIDE, 3)
            pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            METRICS[name].function(*(Views([View(image)]) for image in pixels))


def _check_network(config: TrainConfig) -> None:
    kind, scale = config.generator.kind, config.generator.scale
    with torch.random.fork_rng(devices=[]):
        network = build_generator(config.generator)
        if not any(p.requires_grad for p in network.parameters()):
            raise UserError(f"generator.kind {kind} has no parameters to train")
        for n, height, width in PLUGIN_INPUTS:
            sr = _forward(network.eval(), torch.rand(n, 3, height, width), kind)
            wanted = (n, 3, height * scale, width * scale)
            if not isinstance(sr, Tensor) or tuple(sr.shape) != wanted:
                got = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
                raise UserError(
                    f"generator.kind {kind} must turn {(n, 3, height, width)} into {wanted} at "
                    f"generator.scale {scale}, but returns {got}"
                )


@torch.no_grad()
def _forward(network: nn.Module, lr_image: Tensor, kind: str) -> object:
    try:
        return network(lr_image)
    except Exception as error:  # whatever a user's code may raise
        raise UserError(
            f"generator.kind {kind} raised {plugins.describe(error)} for an input of {tuple(lr_image.shape)}"
        ) from error


def _check_loss(config: TrainConfig) -> None:
    draw = torch.Generator().manual_seed(0)
    sr, hr = torch.rand(2, 2, 3, PLUGIN_SIDE, PLUGIN_SIDE, generator=draw)
    value = extra_loss(config.loss.extra, sr.requires_grad_(), hr)
    if not value.requires_grad:
        raise UserError(
            f"loss.extra {config.loss.extra} has no gradient to the generated images, its first argument"
        )
    if not value.isfinite():
        raise UserError(f"loss.extra {config.loss.extra} must be finite, but returned {value.item()}")
