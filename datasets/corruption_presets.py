"""Published degradations as pipelines of corruption.py, and pipelines from their text form.

bsrgan: Zhang et al., Designing a Practical Degradation Model, 2021, sec. 3, as the authors' code runs it
without a camera model. real_esrgan: Wang et al., 2021, sec. 3, with the authors' numbers for x4plus.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datasets import blur_kernels
from datasets.config import DEGRADATIONS
from datasets.corruption import (
    KERNELS,
    SIZES,
    Blur,
    Frame,
    Jpeg,
    Noise,
    Resize,
    Shuffled,
    Step,
    ToFinal,
    convolve,
    resize,
    shrink,
    to_uint8,
    uniform,
)
from datasets.corruption_text import DOWN, ParsedStep, parse

_KINDS = (
    ("iso", 0.45),
    ("aniso", 0.25),
    ("generalised_iso", 0.12),
    ("generalised_aniso", 0.03),
    ("plateau_iso", 0.12),
    ("plateau_aniso", 0.03),
)
JPEG = Jpeg((30, 95))
NOISE_LEVEL = 25
"""Largest standard deviation of BSRGAN's noise, in grey levels."""


def final_sinc(frame: Frame, rng: np.random.Generator) -> Frame:
    """Resize to the final size and ring by a sinc filter, before or after JPEG (Real-ESRGAN, sec. 3.3)."""
    first = rng.random() < 0.5
    frame = frame if first else JPEG(frame, rng)
    frame = ToFinal(matlab=False)(frame, rng)
    if rng.random() < 0.8:
        kernel = blur_kernels.sinc(int(rng.choice(SIZES)), uniform(rng, (math.pi / 3, math.pi)))
        frame = frame.with_pixels(convolve(frame.pixels, kernel))
    return JPEG(frame, rng) if first else frame


REAL_ESRGAN: tuple[Step, ...] = (
    Blur(sigma=(0.2, 3), kinds=_KINDS, sinc=0.1),
    Resize((0.15, 1.5), chances=(0.2, 0.7, 0.1)),
    Noise(sigma=(1, 30), poisson=(0.05, 3), gaussian_chance=0.5, grey_chance=0.4),
    JPEG,
    Blur(sigma=(0.2, 1.5), kinds=_KINDS, sinc=0.1, chance=0.8),
    Resize((0.3, 1.2), chances=(0.3, 0.4, 0.3), from_final=True),
    Noise(sigma=(1, 25), poisson=(0.05, 2.5), gaussian_chance=0.5, grey_chance=0.4),
    final_sinc,
)


def correlated_noise(frame: Frame, rng: np.random.Generator) -> Frame:
    """Add BSRGAN's noise: Gaussian in colour (2 of 5), grey (2 of 5), or correlated between channels."""
    sigma, way = int(rng.integers(2, NOISE_LEVEL + 1)), rng.random()
    if way < 0.8:
        return Noise(sigma=(sigma, sigma), grey_chance=float(way < 0.4))(frame, rng)
    factor = torch.from_numpy(channel_factor(rng, NOISE_LEVEL / 255)).float()
    plain = torch.from_numpy(rng.standard_normal((3, *frame.pixels.shape[-2:]), dtype=np.float32))
    return frame.with_pixels(frame.pixels + torch.einsum("ij,jhw->ihw", factor, plain))


def channel_factor(rng: np.random.Generator, level: float) -> np.ndarray:
    """Draw F such that F z has the covariance |level^2 U' D U| of three channels for white z."""
    rotation = np.linalg.svd(rng.random((3, 3)))[0]
    covariance = np.abs(level**2 * rotation.T @ np.diag(rng.random(3)) @ rotation)
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.abs(values))


@dataclass(frozen=True)
class BsrganShrink:
    """BSRGAN's random shrinking: by an interpolation, or every n-th pixel after a centred Gaussian."""

    scale: int

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        height, width = frame.pixels.shape[-2:]
        if rng.random() < 0.75:
            factor = uniform(rng, (1, 2 * self.scale))
            size = (int(height / factor), int(width / factor))
            return frame.with_pixels(resize(frame.pixels, size, str(rng.choice(KERNELS))))
        width_px = max(uniform(rng, (0.1, 0.6 * self.scale)), 0.1)
        kernel = blur_kernels.gaussian(25, (width_px, width_px), shift=(self.scale - 1) / 2)
        return frame.with_pixels(convolve(frame.pixels, kernel)[:, :: self.scale, :: self.scale])


@dataclass(frozen=True)
class Bsrgan:
    """BSRGAN's shuffled degradation at `scale`; at x4, a quarter of the images is halved first."""

    scale: int

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        scale = self.scale
        if scale == 4 and rng.random() < 0.25:
            frame, scale = self._halved(frame, rng), 2
        blur = Blur(sigma=(0.0, 2 + 0.2 * scale), sizes=range(7, 26, 2), variance=(0.0, 4.0 + scale))
        shrink, final = BsrganShrink(scale), ToFinal(matlab=False)
        steps = (blur, blur, shrink, final, correlated_noise, Jpeg((30, 95), 0.9))
        return JPEG(Shuffled(steps, ordered=(2, 3))(frame, rng), rng)

    @staticmethod
    def _halved(frame: Frame, rng: np.random.Generator) -> Frame:
        height, width = (n // 2 for n in frame.pixels.shape[-2:])
        if rng.random() < 0.5:
            return frame.with_pixels(resize(frame.pixels, (height, width), str(rng.choice(KERNELS))))
        return frame.with_pixels(shrink(frame.pixels, 2))


@dataclass(frozen=True)
class Fixed:
    """A fixed degradation of degrade.py."""

    kind: str

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        scale = frame.pixels.shape[-2] // frame.final[0]
        return frame.with_pixels(shrink(frame.pixels, scale, self.kind))


@dataclass(frozen=True)
class Sinc:
    """Ring by a sinc filter with a cutoff between two shares of the highest frequency."""

    share: tuple[float, float]

    def __call__(self, frame: Frame, rng: np.random.Generator) -> Frame:
        kernel = blur_kernels.sinc(21, math.pi * uniform(rng, self.share))
        return frame.with_pixels(convolve(frame.pixels, kernel))


def _step(parsed: ParsedStep, scale: int) -> tuple[Step, ...]:
    name, bounds = parsed.name, (parsed.low, parsed.high)
    if name in DEGRADATIONS:
        return (Fixed(name),)
    steps: dict[str, tuple[Step, ...]] = {
        "bsrgan": (Bsrgan(scale),),
        "real_esrgan": REAL_ESRGAN,
        DOWN: (ToFinal(),),
        "blur": (Blur(sigma=bounds),),
        "resize": (Resize(bounds, _chances(bounds)),),
        "noise": (Noise(sigma=bounds),),
        "grey_noise": (Noise(sigma=bounds, grey_chance=1.0),),
        "poisson": (Noise(poisson=bounds, gaussian_chance=0.0),),
        "sinc": (Sinc(bounds),),
        "jpeg": (Jpeg((round(bounds[0]), round(bounds[1]))),),
    }
    return steps[name]


def _chances(bounds: tuple[float, float]) -> tuple[float, float, float]:
    """Return the chances of growing and shrinking, in proportion to the room on either side of 1."""
    room = (max(bounds[1] - 1, 0.0), max(1 - bounds[0], 0.0))
    return (room[0] / sum(room), room[1] / sum(room), 0.0) if sum(room) else (0.0, 0.0, 1.0)


class Corruption:
    """The degradation of the text form `text` for networks of `scale`; UserError if there is no such text."""

    def __init__(self, text: str, scale: int) -> None:
        chains = parse(text, DEGRADATIONS)
        self.scale = scale
        self.alternatives: Sequence[tuple[Step, ...]] = [
            tuple(step for parsed in chain for step in _step(parsed, scale)) for chain in chains
        ]

    def __call__(self, hr: np.ndarray, words: tuple[int, ...]) -> np.ndarray:
        """Make the input of uint8 `hr` (H, W, 3), with all chance from the integers `words`.

        It is uint8 (H/scale, W/scale, 3).
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
        pixels = torch.from_numpy(hr).permute(2, 0, 1).float() / 255
        frame = Frame(pixels.contiguous(), (hr.shape[0] // self.scale, hr.shape[1] // self.scale))
        for step in self.alternatives[int(rng.integers(len(self.alternatives)))]:
            frame = step(frame, rng)
        if tuple(frame.pixels.shape[-2:]) != frame.final:
            frame = ToFinal()(frame, rng)
        return to_uint8(frame.pixels).permute(1, 2, 0).contiguous().numpy()
