"""Losses on images and on discriminator outputs: pure functions of tensors, each a scalar mean.

Images are (N, 3, H, W) in [0, 1] and are scaled to [-1, 1] here where the paper does so; discriminator
outputs are logits of any shape. Losses between VGG features live in perceptual.py; weights and sums in the
training step.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from datasets.errors import unknown

CHARBONNIER_EPSILON = 1e-3  # Lai et al., 2017 (LapSRN), sec. 3.2

Mean = Callable[[Tensor], Tensor]


def pixel_loss(kind: str, sr: Tensor, hr: Tensor) -> Tensor:
    """Mean distance of two image batches in [0, 1], measured on [-1, 1] (Ledig et al., 2017, sec. 3.2).

    l1: mean |d|; l2: mean d^2 (eq. 4); charbonnier: mean sqrt(d^2 + 1e-6).

    Raises:
        UserError: for an unknown kind.
    """
    if kind not in PIXEL:
        raise unknown("pixel loss", kind, PIXEL, "loss.pixel")
    return PIXEL[kind](2 * (sr - hr)).mean()


def _charbonnier(difference: Tensor) -> Tensor:
    return (difference.square() + CHARBONNIER_EPSILON**2).sqrt()


PIXEL: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "l2": torch.square,
    "charbonnier": _charbonnier,
}


def adversarial_d(kind: str, real: Tensor, fake: Tensor, *, mean: Mean = torch.mean) -> Tensor:
    """What the discriminator minimises, from its logits of real and of generated images.

    `mean` averages logits over the whole batch inside relativistic losses; a run over several processes
    passes one that also averages over them.

    Raises:
        UserError: for an unknown kind.
    """
    return _adversarial(kind).discriminator(real, fake, mean)


def adversarial_g(kind: str, real: Tensor | None, fake: Tensor, *, mean: Mean = torch.mean) -> Tensor:
    """What the generator minimises, from the logits of its images; `real` only where `needs_real(kind)`.

    Raises:
        UserError: for an unknown kind.
    """
    return _adversarial(kind).generator(real, fake, mean)


def needs_real(kind: str) -> bool:
    """Whether the generator's loss also reads the logits of real images.

    Raises:
        UserError: for an unknown kind.
    """
    return _adversarial(kind).needs_real


class Vanilla:
    """The original GAN, non-saturating for G (Goodfellow et al., 2014; Ledig et al., 2017, eq. 6)."""

    needs_real = False

    @staticmethod
    def discriminator(real: Tensor, fake: Tensor, mean: Mean) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    @staticmethod
    def generator(real: Tensor | None, fake: Tensor, mean: Mean) -> Tensor:
        return softplus(-fake).mean()


class Relativistic:
    """Relativistic average GAN, both terms summed (Wang et al., 2018, ESRGAN, eq. 1 and 2)."""

    needs_real = True

    @staticmethod
    def discriminator(real: Tensor, fake: Tensor, mean: Mean) -> Tensor:
        return softplus(mean(fake) - real).mean() + softplus(fake - mean(real)).mean()

    @staticmethod
    def generator(real: Tensor | None, fake: Tensor, mean: Mean) -> Tensor:
        assert real is not None, "a relativistic generator loss reads the logits of real images"
        return softplus(real - mean(fake)).mean() + softplus(mean(real) - fake).mean()


Adversarial = type[Vanilla] | type[Relativistic]

ADVERSARIAL: dict[str, Adversarial] = {"vanilla": Vanilla, "relativistic": Relativistic}


def _adversarial(kind: str) -> Adversarial:
    if kind not in ADVERSARIAL:
        raise unknown("adversarial loss", kind, ADVERSARIAL, "loss.adversarial")
    return ADVERSARIAL[kind]


def total_variation(x: Tensor) -> Tensor:
    """Twice the sum of the mean squared vertical and horizontal differences of images in [0, 1].

    The squared form with its factor 2 is the one that the weight 2e-8 belongs to in public SRGAN code; the
    term itself is eq. 8 of the first arXiv version of Ledig et al. (2016). A horizontal ramp of slope a
    gives 2 a^2.
    """
    vertical = (x[..., 1:, :] - x[..., :-1, :]).square().mean()
    horizontal = (x[..., 1:] - x[..., :-1]).square().mean()
    return 2 * (vertical + horizontal)
