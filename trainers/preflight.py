"""Checks before any GPU hour is spent; each failure is one sentence that names what to change."""

import torch
from torch import Tensor

from datasets.errors import UserError
from trainers import losses
from trainers.config import TrainConfig
from trainers.state import TrainState, new_state, set_rate
from trainers.train_step import TrainStep, build_features, gradient_at_output

OVERFIT_STEPS = 8


def check(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> dict[str, float]:
    """Refuse a run whose losses do not reach the generator or that cannot fit one batch.

    hr (N, 3, H, W) and lr_image (N, 3, h, w) in [0, 1]. Returns the gradient norm of each enabled term
    at the generator's output. UserError names the first check that fails.
    """
    check_ranges(hr, lr_image, config.generator.scale)
    norms = term_gradients(config, hr, lr_image)
    for term, norm in norms.items():
        if not norm > 0:
            raise UserError(
                f"the {term} loss is enabled (loss.{term}_weight) but its gradient never reaches the "
                f"generator: nothing would be learnt from it, so the run does not start"
            )
    check_overfit(config, hr, lr_image)
    return norms


def check_ranges(hr: Tensor, lr_image: Tensor, scale: int) -> None:
    """UserError unless both images lie in [0, 1] and their sizes differ by exactly `scale`."""
    for name, image in (("target", hr), ("input", lr_image)):
        low, high = image.min().item(), image.max().item()
        if not (0 <= low and high <= 1):
            raise UserError(f"the {name} images must lie in [0, 1], but range from {low:.3g} to {high:.3g}")
    if hr.shape[-2:] != (lr_image.shape[-2] * scale, lr_image.shape[-1] * scale):
        raise UserError(
            f"targets of {tuple(hr.shape[-2:])} do not match inputs of {tuple(lr_image.shape[-2:])} at "
            f"generator.scale {scale}"
        )


def term_gradients(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> dict[str, float]:
    """Norm of each enabled generator loss' gradient at the generator's output, GAN phase at step 0."""
    device = hr.device
    phase = "gan" if config.run.gan_steps else "psnr"
    state = new_state(config, phase, device)
    step = TrainStep(config, state, build_features(config, device) if phase == "gan" else None)
    sr = state.generator(lr_image).float()
    if phase == "psnr":
        terms = {"pixel": losses.pixel_loss(config.loss.pixel, sr, hr, config.loss.pixel_colors)}
    else:
        assert state.discriminator is not None
        terms = step.terms(sr, hr, state.discriminator(sr), state.discriminator(hr).detach())
        if not terms:
            raise UserError("every loss weight of the GAN phase is 0; set loss.pixel_weight or another one")
    return {name: gradient_at_output(loss, sr).norm().item() for name, loss in terms.items()}


def check_overfit(config: TrainConfig, hr: Tensor, lr_image: Tensor) -> None:
    """UserError unless a few pixel-loss updates on one batch lower that loss: the optimizer is connected.

    At a tenth of the peak learning rate, where schedules with a warm-up begin.
    """
    state: TrainState = new_state(config, "psnr", hr.device)
    set_rate(state.opt_g, config.optim.lr_psnr / 10)
    step = TrainStep(config, state)
    seen = []
    for _ in range(OVERFIT_STEPS):
        step(hr, lr_image)
        state.step += 1
        seen.append(step.read()["pixel"])
    # not a number is not smaller either
    if not min(seen[1:]) < seen[0]:
        raise UserError(
            f"{OVERFIT_STEPS} updates on one batch did not lower the pixel loss "
            f"({seen[0]:.4g} -> {seen[-1]:.4g}); lower optim.lr_psnr"
        )


def first_batch(loader: object, count: int = 4) -> tuple[Tensor, Tensor]:
    """`count` images of the loader's first batch: enough for the checks, cheap on a CPU."""
    batch = next(loader.batches(0))  # type: ignore[attr-defined]
    return batch.hr[:count].float(), batch.lr_image[:count].to(torch.float32)
