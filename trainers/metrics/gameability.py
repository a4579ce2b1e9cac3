"""Gameability of metrics: do manipulations that restore nothing improve a metric's value?

Each manipulation changes a result without looking at its target: noise, sharpening, patterns, compression.
A metric that such a change betters can be raised by a network that learns it, so it should not decide alone.
"""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from trainers.metrics import METRICS
from trainers.metrics.image_view import View, Views

Pixels = np.ndarray
"""(H, W, 3), float in grey levels."""


def _noise(sigma: float) -> Callable[[Pixels], Pixels]:
    return lambda x: x + np.random.default_rng(0).normal(0, sigma, x.shape)


def _blurred(x: Pixels, sigma: float) -> Pixels:
    return gaussian_filter(x, (sigma, sigma, 0), mode="nearest")


def _unsharp(amount: float) -> Callable[[Pixels], Pixels]:
    return lambda x: x + amount * (x - _blurred(x, 1.0))


def _checkerboard(period: int, amplitude: float) -> Callable[[Pixels], Pixels]:
    """Return the addition of squares of half a period, alternately `amplitude` above and below."""

    def add(x: Pixels) -> Pixels:
        rows, columns = (np.arange(n) // (period // 2) for n in x.shape[:2])
        signs = 1 - 2 * ((rows[:, None] + columns) % 2)
        return x + amplitude * signs[..., None]

    return add


def _jpeg(quality: int) -> Callable[[Pixels], Pixels]:
    def compress(x: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(eight_bit(x)).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as image:
            return np.asarray(image, dtype=np.float64)

    return compress


def _ringing(cutoff: float) -> Callable[[Pixels], Pixels]:
    """Return an ideal low-pass at `cutoff` cycles per pixel, whose step response overshoots (Gibbs)."""

    def filtered(x: Pixels) -> Pixels:
        fy, fx = np.fft.fftfreq(x.shape[0]), np.fft.rfftfreq(x.shape[1])
        kept = (np.hypot(fy[:, None], fx) <= cutoff)[..., None]
        return np.fft.irfft2(np.fft.rfft2(x, axes=(0, 1)) * kept, s=x.shape[:2], axes=(0, 1))

    return filtered


def _cast(*shift: float) -> Callable[[Pixels], Pixels]:
    return lambda x: x + np.array(shift)


MANIPULATIONS: dict[str, Callable[[Pixels], Pixels]] = {
    **{f"noise {s}": _noise(s) for s in (2, 3, 6, 10, 15)},
    **{f"unsharp {a}": _unsharp(a) for a in (0.5, 1, 2, 4)},
    **{f"checkerboard {p} px, {a}": _checkerboard(p, a) for p in (2, 4) for a in (1, 2, 3, 4)},
    **{f"JPEG {q}": _jpeg(q) for q in (90, 50)},
    **{f"blur {s}": lambda x, s=s: _blurred(x, s) for s in (0.5, 1)},
    "ringing 0.2": _ringing(0.2),
    "cast red 4": _cast(4, 0, -4),
    "cast grey 4": _cast(4, 4, 4),
}
"""Name -> change of an image. Strengths: standard deviation, amplitude or shift in grey levels, amount of an
unsharp mask of sigma 1, JPEG quality, sigma in pixels, cycles per pixel."""


def eight_bit(x: Pixels) -> np.ndarray:
    """Return `x` rounded and clipped to uint8."""
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def gains(
    metrics: Sequence[str],
    base: Sequence[np.ndarray],
    others: Mapping[str, Sequence[np.ndarray]],
    targets: Sequence[np.ndarray],
    border: int,
    inputs: Sequence[np.ndarray | None] = (),
    watch: Callable[[str], None] = lambda name: None,
) -> dict[str, dict[str, float]]:
    """Return how much better than `base` each changed set is in each metric, as a share of the base's value.

    Images are uint8 (H, W, 3); `others` are other results for the same `targets`, by name, to which each of
    MANIPULATIONS of the base is added. `inputs` are the networks' inputs, for metrics that read them, and
    `watch` is called with the name of each set before it is measured. A positive share of a manipulation
    means that the metric is deceived.
    """
    sets = {"base": base, **others}
    for name, change in MANIPULATIONS.items():
        sets[name] = [eight_bit(change(image.astype(np.float64))) for image in base]
    pairs = zip(targets, inputs or [None] * len(targets), strict=True)
    hr = Views(View(image, border, lr_image) for image, lr_image in pairs)
    values = {}
    for name, images in sets.items():
        watch(name)
        values[name] = _values(metrics, images, hr, border)
    start = values.pop("base")
    signs = {m: 1 if METRICS[m].direction == "max" else -1 for m in metrics}
    return {name: {m: signs[m] * (v[m] / start[m] - 1) for m in metrics} for name, v in values.items()}


def _values(metrics: Sequence[str], images: Sequence[np.ndarray], hr: Views, border: int) -> dict[str, float]:
    sr = Views(View(image, border) for image in images)
    return {name: float(np.mean(METRICS[name].function(sr, hr))) for name in metrics}
