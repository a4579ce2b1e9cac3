"""Losses on images and on discriminator outputs: pure functions of tensors, each a scalar mean.

Images are (N, 3, H, W) in [0, 1], scaled to [-1, 1] here if the paper does so; discriminator outputs are
logits of any shape. The network of the content loss is in vgg_features.py; weights are in step_losses.py.
Kinds of losses are those of the tables here, which LossConfig checks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad, pixel_unshuffle, relu, softplus

CHARBONNIER_EPSILON = 1e-3  # Lai et al., 2017 (LapSRN), sec. 3.2
GRID_CELLS = 8
"""Cells of the upsampling grid, in each direction, over which `grid_loss` averages."""

Means = Callable[[Tensor, Tensor], Sequence[Tensor]]


def means(real: Tensor, fake: Tensor) -> Sequence[Tensor]:
    """Return the mean of each of two tensors; with several processes `Ranks.means` stands for it."""
    return real.mean(), fake.mean()


def pixel_loss(kind: str, sr: Tensor, hr: Tensor, colors: str = "rgb") -> Tensor:
    """Return the mean distance of two image batches in [0, 1].

    With d = 2 * (sr - hr), their difference on the scale [-1, 1], l1 is the mean of |d|, l2 that of d^2
    (Ledig et al., 2017, eq. 4), charbonnier that of sqrt(d^2 + 1e-6). With colors="y" the images' luma is
    compared, as SRCNN does (Dong et al., 2016, sec. 4.1).
    """
    return PIXEL[kind](2 * COLORS[colors](sr - hr)).mean()


def luma(image: Tensor) -> Tensor:
    """Return BT.601 luma (N, 1, H, W) in [16/255, 235/255] of RGB (N, 3, H, W) in [0, 1], as rgb2ycbcr."""
    return _luma_change(image) + 16 / 255


def _luma_change(difference: Tensor) -> Tensor:
    red, green, blue = difference.split(1, dim=1)
    return (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def _charbonnier(difference: Tensor) -> Tensor:
    return (difference.square() + CHARBONNIER_EPSILON**2).sqrt()


PIXEL: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "l2": torch.square,
    "charbonnier": _charbonnier,
}

COLORS: dict[str, Callable[[Tensor], Tensor]] = {"rgb": lambda difference: difference, "y": _luma_change}


def content_loss(features_sr: Tensor, features_hr: Tensor, scale: float, criterion: str = "l2") -> Tensor:
    """Return the mean distance of two feature maps times `scale` (Ledig et al., 2017, eq. 5: 1/12.75).

    l2: mean squared difference (SRGAN); l1: mean absolute difference (ESRGAN, Wang et al., 2018, sec. 3.3).
    Features of half precision are compared in float32.
    """
    precise = torch.promote_types(features_sr.dtype, torch.float32)
    return CONTENT[criterion](scale * (features_sr.to(precise) - features_hr.to(precise))).mean()


CONTENT: dict[str, Callable[[Tensor], Tensor]] = {"l2": torch.square, "l1": torch.abs}


def adversarial_d(
    kind: str, real: Tensor, fake: Tensor, *, smoothing: float = 0.0, average: Means = means
) -> Tensor:
    """Return the discriminator's loss from its logits of real and of generated images.

    `smoothing` lowers the target of real images from 1, for vanilla and lsgan (Salimans et al., 2016,
    sec. 3.4). `average` returns the means of real and of generated logits inside relativistic losses, with
    several processes over all of them. WGAN-GP's penalty is `gradient_penalty`.
    """
    return ADVERSARIAL[kind].discriminator(real, fake, smoothing, average)


def adversarial_g(kind: str, real: Tensor | None, fake: Tensor, *, average: Means = means) -> Tensor:
    """Return the generator's loss from the logits of its images, and of real ones if `needs_real(kind)`."""
    return ADVERSARIAL[kind].generator(real, fake, average)


def needs_real(kind: str) -> bool:
    """Return True if the generator's part of adversarial loss `kind` also reads logits of real images."""
    return ADVERSARIAL[kind].needs_real


def _vanilla_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """Goodfellow et al., 2014, eq. 1; with targets 1 - s the cross-entropy of real logits gains s * logit."""
    return softplus(-real).mean() + smoothing * real.mean() + softplus(fake).mean()


def _vanilla_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    """Non-saturating: -log D(G(x)) (Ledig et al., 2017, eq. 6)."""
    return softplus(-fake).mean()


def _relativistic_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """Relativistic average, both terms summed (Wang et al., 2018, ESRGAN, eq. 1)."""
    mean_real, mean_fake = average(real, fake)
    return softplus(mean_fake - real).mean() + softplus(fake - mean_real).mean()


def _relativistic_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    """Relativistic average with the roles of real and fake exchanged (ESRGAN, eq. 2)."""
    assert real is not None, "a relativistic generator loss reads the logits of real images"
    mean_real, mean_fake = average(real, fake)
    return softplus(real - mean_fake).mean() + softplus(mean_real - fake).mean()


def _halved_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """BasicSR's code: half of ESRGAN's, so that a weight of 5e-3 there is 2.5e-3 in the paper's notation."""
    return _relativistic_d(real, fake, smoothing, average) / 2


def _halved_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    return _relativistic_g(real, fake, average) / 2


def _linear_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """1 - D(x) + D(G(z)) on probabilities (github.com/leftthomas/SRGAN)."""
    return 1 - real.sigmoid().mean() + fake.sigmoid().mean()


def _linear_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    """1 - D(G(z)) on probabilities; unlike -log D its gradient vanishes when D is certain."""
    return 1 - fake.sigmoid().mean()


def _lsgan_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """Least squares, a = 0 and b = c = 1 (Mao et al., 2017, eq. 9)."""
    return (real - 1 + smoothing).square().mean() / 2 + fake.square().mean() / 2


def _lsgan_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    return (fake - 1).square().mean() / 2


def _hinge_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """Hinge (Lim & Ye, 2017; Miyato et al., 2018, eq. 16)."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def _wasserstein_d(real: Tensor, fake: Tensor, smoothing: float, average: Means) -> Tensor:
    """Wasserstein critic without its penalty (Gulrajani et al., 2017, eq. 3)."""
    return fake.mean() - real.mean()


def _negative_logit_g(real: Tensor | None, fake: Tensor, average: Means) -> Tensor:
    """Generator loss of hinge (Miyato et al., 2018, eq. 17) and of WGAN-GP."""
    return -fake.mean()


class Adversarial(NamedTuple):
    """Both losses of one adversarial game; `needs_real`: the generator's loss reads real logits."""

    discriminator: Callable[[Tensor, Tensor, float, Means], Tensor]
    generator: Callable[[Tensor | None, Tensor, Means], Tensor]
    needs_real: bool = False


ADVERSARIAL = {
    "vanilla": Adversarial(_vanilla_d, _vanilla_g),
    "relativistic": Adversarial(_relativistic_d, _relativistic_g, needs_real=True),
    "relativistic_halved": Adversarial(_halved_d, _halved_g, needs_real=True),
    "linear": Adversarial(_linear_d, _linear_g),
    "lsgan": Adversarial(_lsgan_d, _lsgan_g),
    "hinge": Adversarial(_hinge_d, _negative_logit_g),
    "wgan_gp": Adversarial(_wasserstein_d, _negative_logit_g),
}


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return half the mean squared gradient norm of D at real images (Mescheder et al., 2018, eq. 9).

    `logits` must come from `images`, which must require a gradient; logit maps are averaged per image first.
    """
    return _image_gradients(logits, images).square().sum(1).mean() / 2


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], hr: Tensor, sr: Tensor, share: Tensor
) -> Tensor:
    """Return the mean of (norm - 1)^2 of D's image gradients between real and generated images.

    One point on the line between each pair: `share` (N, 1, 1, 1), uniform in [0, 1), is its distance from the
    generated image. The norm is over all pixels and channels of an image (Gulrajani et al., 2017, eq. 3).
    """
    between = torch.lerp(sr.detach(), hr, share).requires_grad_()
    return (_image_gradients(discriminator(between), between).norm(dim=1) - 1).square().mean()


def _image_gradients(logits: Tensor, images: Tensor) -> Tensor:
    """Return the gradient (N, C*H*W) of each image's mean logit, itself differentiable."""
    (gradient,) = torch.autograd.grad(logits.flatten(1).mean(1).sum(), images, create_graph=True)
    return gradient.flatten(1)


def total_variation(x: Tensor) -> Tensor:
    """Return twice the sum of the mean squared vertical and horizontal differences of images in [0, 1].

    The term is eq. 8 of the first arXiv version of Ledig et al. (2016); public SRGAN code uses this squared
    form with factor 2 and weight 2e-8. A horizontal ramp of slope a gives 2 a^2.
    """
    vertical = (x[..., 1:, :] - x[..., :-1, :]).square().mean()
    horizontal = (x[..., 1:] - x[..., :-1]).square().mean()
    return 2 * (vertical + horizontal)


def color_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean squared difference of two batches (N, 3, H, W) after a blur that removes texture.

    The blur is a Gaussian of 21 x 21 pixels with a standard deviation of 3 (the color loss of Ignatov et al.,
    "DSLR-quality photos on mobile devices with deep convolutional networks", 2017, sec. 3.1); borders repeat
    the edge pixel. A uniform cast of c costs c^2.
    """
    taps = torch.exp(-torch.arange(-10.0, 11.0, device=sr.device).square() / (2 * 3.0**2))
    row = (taps / taps.sum()).to(sr.dtype).expand(3, 1, 1, 21)
    difference = pad(sr - hr, (10, 10, 10, 10), mode="replicate")
    blurred = conv2d(conv2d(difference, row, groups=3), row.transpose(2, 3), groups=3)
    return blurred.square().mean()


def grid_loss(sr: Tensor, hr: Tensor, scale: int) -> Tensor:
    """Return how much fine detail of `sr` repeats on the upsampling grid and is not in `hr`, at least 0.

    Fine detail is the difference of two batches (N, 3, H, W) less its 3x3 mean. It is averaged at each of the
    `scale` x `scale` positions of the grid over tiles of GRID_CELLS x GRID_CELLS cells; the loss is the mean
    absolute average, 8/9 of c for a checkerboard of c. Texture that does not repeat on the grid averages out;
    the defect is that of metric grid_detail. Cells that fill no tile do not count; a smaller image is a tile.
    """
    difference = sr - hr
    detail = difference - avg_pool2d(pad(difference, (1, 1, 1, 1), mode="replicate"), 3, 1)
    positions = pixel_unshuffle(detail, scale)
    rows, columns = positions.shape[2:]
    return avg_pool2d(positions, (min(GRID_CELLS, rows), min(GRID_CELLS, columns))).abs().mean()
