"""Random degradations of training inputs: blur, resize, noise, JPEG and sinc, one step after the other.

A pipeline makes the input of one HR crop. All its chance comes from one generator that the caller seeds by
(seed, epoch, index of the image), so inputs depend neither on the batch nor on the rank nor on a resume.
Presets and their text form are in corruption_presets.py; the fixed degradation of evaluation is degrade.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datasets import blur_kernels
from datasets.degrade import down

KERNELS = ("area", "bilinear", "bicubic")
"""Interpolations of a random resize, without antialiasing, as published."""
SIZES = tuple(range(7, 22, 2))
_GREY = torch.tensor([0.2989, 0.587, 0.114])[:, None, None]


@dataclass(frozen=True)
class Frame:
    """An image on its way: `pixels` float32 (3, h, w) in [0, 1], and the (height, width) it must end with."""

    pixels: Tensor
    final: tuple[int, int]

    def with_pixels(self, pixels: Tensor) -> "Frame":
        """Return the frame with other pixels, clipped to [0, 1]."""
        return Frame(pixels.clamp(0, 1), self.final)


class Step(Protocol):
    """One random change of an image."""

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame: ...


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw a number between two bounds."""
    return bounds[0] + (bounds[1] - bounds[0]) * float(rng.random())


def convolve(pixels: Tensor, kernel: np.ndarray) -> Tensor:
    """Convolve (3, h, w) with one kernel for all channels; the border is mirrored."""
    pad = len(kernel) // 2
    mode = "reflect" if pad < min(pixels.shape[-2:]) else "replicate"
    padded = functional.pad(pixels[None], (pad,) * 4, mode=mode)[0]
    weight = torch.from_numpy(kernel.astype(np.float32))[None, None]
    return functional.conv2d(padded[:, None], weight)[:, 0]


def resize(pixels: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """Resize (3, h, w) to `size` by one of KERNELS."""
    sizes = tuple(max(1, n) for n in size)
    corners = None if kernel == "area" else False
    return functional.interpolate(pixels[None], size=sizes, mode=kernel, align_corners=corners)[0]


def shrink(pixels: Tensor, scale: int, kind: str = "matlab") -> Tensor:
    """Shrink (3, h, w) in [0, 1] by a fixed degradation of degrade.py, as 8-bit levels."""
    return down(to_uint8(pixels)[None], scale, kind)[0].float() / 255


def to_uint8(pixels: Tensor) -> Tensor:
    """Convert [0, 1] to uint8, rounded half up."""
    return (pixels * 255 + 0.5).floor().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Blur:
    """Blur by a Gaussian, generalised, plateau or sinc kernel."""

    sigma: tuple[float, float]
    kinds: tuple[tuple[str, float], ...] = (("iso", 0.5), ("aniso", 0.5))
    """Kind -> probability: iso, aniso, and both with the prefix generalised_ or plateau_."""
    sizes: Sequence[int] = SIZES
    sinc: float = 0.0
    """Probability of a sinc kernel instead."""
    variance: tuple[float, float] | None = None
    """Bounds of the two variances of aniso kernels, if these are drawn and not the sigmas."""
    chance: float = 1.0

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        if rng.random() >= self.chance:
            return frame
        return frame.with_pixels(convolve(frame.pixels, self.draw(rng)))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a kernel."""
        size = int(rng.choice(self.sizes))
        if rng.random() < self.sinc:
            return blur_kernels.sinc(size, uniform(rng, (math.pi / (3 if size < 13 else 5), math.pi)))
        names, chances = zip(*self.kinds, strict=True)
        kind = str(rng.choice(names, p=chances))
        width = uniform(rng, self.sigma)
        if kind.endswith("aniso"):
            sigma, theta = (width, uniform(rng, self.sigma)), uniform(rng, (-math.pi, math.pi))
            if self.variance:
                sigma = (math.sqrt(uniform(rng, self.variance)), math.sqrt(uniform(rng, self.variance)))
        else:
            sigma, theta = (width, width), 0.0
        if kind.startswith("plateau"):
            return blur_kernels.plateau(size, sigma, theta, _beta(rng, (1.0, 2.0)))
        beta = _beta(rng, (0.5, 4.0)) if kind.startswith("generalised") else 1.0
        return blur_kernels.gaussian(size, sigma, theta, beta)


def _beta(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw a shape below and above 1 equally often, as published."""
    return uniform(rng, (bounds[0], 1.0)) if rng.random() < 0.5 else uniform(rng, (1.0, bounds[1]))


@dataclass(frozen=True)
class Resize:
    """Resize by a random factor; `from_final` counts it from the final size, else from the present one."""

    bounds: tuple[float, float]
    chances: tuple[float, float, float] = (0.2, 0.7, 0.1)
    """Probabilities of a factor above 1, below 1, and 1."""
    from_final: bool = False

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        way = int(rng.choice(3, p=self.chances))
        factor = uniform(rng, ((1.0, self.bounds[1]), (self.bounds[0], 1.0), (1.0, 1.0))[way])
        base = frame.final if self.from_final else tuple(frame.pixels.shape[-2:])
        size = (int(base[0] * factor), int(base[1] * factor))
        return frame.with_pixels(resize(frame.pixels, size, str(rng.choice(KERNELS))))


@dataclass(frozen=True)
class ToFinal:
    """Resize to the final size: by MATLAB's bicubic from a multiple of it, or by one of KERNELS."""

    matlab: bool = True

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        size, final = tuple(frame.pixels.shape[-2:]), frame.final
        scale = size[0] // final[0]
        if self.matlab and size == (final[0] * scale, final[1] * scale):
            return frame.with_pixels(shrink(frame.pixels, scale))
        return frame.with_pixels(resize(frame.pixels, final, str(rng.choice(KERNELS))))


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of `sigma` grey levels or Poisson noise, in colour or equal in all channels."""

    sigma: tuple[float, float] = (0.0, 0.0)
    poisson: tuple[float, float] = (0.0, 0.0)
    """Factor on the shot noise of an image with as many photons as it has levels."""
    gaussian_chance: float = 1.0
    grey_chance: float = 0.0

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        gaussian = rng.random() < self.gaussian_chance
        amount = uniform(rng, self.sigma if gaussian else self.poisson)
        grey = rng.random() < self.grey_chance
        if gaussian:
            shape = (1 if grey else 3, *frame.pixels.shape[-2:])
            noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) * (amount / 255)
        else:
            noise = shot_noise(frame.pixels, rng, grey) * amount
        return frame.with_pixels(frame.pixels + noise)


def shot_noise(pixels: Tensor, rng: np.random.Generator, grey: bool) -> Tensor:
    """Return Poisson noise of an image that counts as many photons as it has levels (a power of 2)."""
    image = (pixels * _GREY).sum(0, keepdim=True) if grey else pixels
    image = (image * 255).round().clamp(0, 255) / 255
    photons = 2 ** math.ceil(math.log2(max(2, len(torch.unique(image)))))
    counted = rng.poisson((image * photons).numpy()).astype(np.float32)
    return torch.from_numpy(counted) / photons - image


@dataclass(frozen=True)
class Jpeg:
    """Compress and decode by libjpeg-turbo at a random whole quality, 4:2:0."""

    quality: tuple[int, int] = (30, 95)
    chance: float = 1.0

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        if rng.random() >= self.chance:
            return frame
        from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        data = encode_jpeg(to_uint8(frame.pixels), quality=quality)
        return frame.with_pixels(decode_jpeg(data, ImageReadMode.RGB).float() / 255)


@dataclass(frozen=True)
class Shuffled:
    """Steps in random order; those of `ordered` (positions) keep their order among themselves."""

    steps: tuple[Step, ...]
    ordered: tuple[int, int]

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        order = rng.permutation(len(self.steps)).tolist()
        first, second = sorted(order.index(i) for i in self.ordered)
        order[first], order[second] = self.ordered
        for i in order:
            frame = self.steps[i](frame, rng)
        return frame
