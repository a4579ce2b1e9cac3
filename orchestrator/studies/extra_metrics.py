"""Metrics that only the studies use: chroma errors, saturation, and SSIM as two notebooks compute it.

Each is a function of two uint8 RGB images (H, W, 3), output and target.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def chroma(image: np.ndarray) -> np.ndarray:
    """Return Cb and Cr of uint8 RGB (H, W, 3): float64 (H, W, 2), BT.601 full range, grey levels around 0."""
    r, g, b = (image[..., k].astype(np.float64) for k in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([(b - y) * 0.564, (r - y) * 0.713], axis=-1)


def chroma_error(output: np.ndarray, target: np.ndarray) -> float:
    """Return the RMSE of Cb and Cr in grey levels."""
    return float(np.sqrt(np.square(chroma(output) - chroma(target)).mean()))


def chroma_centre(output: np.ndarray, target: np.ndarray) -> float:
    """Return the chroma error in the centre, half as high and wide as the image; an aligned face is there."""
    height, width = target.shape[:2]
    rows, columns = slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)
    return chroma_error(output[rows, columns], target[rows, columns])


def chroma_border(output: np.ndarray, target: np.ndarray) -> float:
    """Return the chroma error in the outermost eighth on each side; a face's background is there."""
    squares = np.square(chroma(output) - chroma(target)).mean(axis=-1)
    height, width = squares.shape
    inside = np.zeros_like(squares, dtype=bool)
    inside[height // 8 : height - height // 8, width // 8 : width - width // 8] = True
    return float(np.sqrt(squares[~inside].mean()))


def saturation(output: np.ndarray, target: np.ndarray) -> float:
    """Return the mean distance from grey over that of the target: 1 is as colourful, 0 is grey."""
    ours, theirs = (float(np.linalg.norm(chroma(image), axis=-1).mean()) for image in (output, target))
    return ours / max(theirs, 1.0)


def ssim_rgb(output: np.ndarray, target: np.ndarray) -> float:
    """Return SSIM over RGB in [0, 1], channels first, the window padded with zeros, as notebooks often do."""
    a, b = (torch.from_numpy(x.astype(np.float32) / 255).permute(2, 0, 1)[None] for x in (output, target))
    return _windowed_ssim(a, b)


def ssim_misread(output: np.ndarray, target: np.ndarray) -> float:
    """Return `ssim_rgb` with a known mistake: rows read as channels, values to 255, constants for [0, 1]."""
    a, b = (torch.from_numpy(x.astype(np.float32))[None] for x in (output, target))
    return _windowed_ssim(a, b)


def _windowed_ssim(a: Tensor, b: Tensor) -> float:
    """Wang et al. (2004) with an 11 x 11 Gaussian of 1.5 in every channel, over all pixels, zeros outside."""
    channels = a.shape[1]
    line = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    kernel = window.expand(channels, 1, 11, 11)

    def mean(x: Tensor) -> Tensor:
        return functional.conv2d(x, kernel, padding=5, groups=channels)

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    one, two = 0.01**2, 0.03**2
    return float(((2 * ma * mb + one) * (2 * both + two) / ((ma**2 + mb**2 + one) * (va + vb + two))).mean())


@dataclass(frozen=True)
class ExtraMetric:
    """A metric of studies with its protocol and the decimals that tables print."""

    protocol: str
    function: Callable[[np.ndarray, np.ndarray], float] | None = None
    """Value of one image; None for distances of whole sets (trainers/metrics/domains.py)."""
    direction: str = ""
    """min or max; empty if neither is better, so that no verdict is made of it."""
    decimals: int = 3


_SSIM = "SSIM of RGB in [0, 1], 11x11 gaussian 1.5, zeros outside, 8-bit unshaved"
_MISREAD = "as ssim_rgb, but rows read as channels, values to 255, constants of [0, 1]"

EXTRAS = {
    "chroma_error": ExtraMetric(
        "RMSE of BT.601 full-range Cb and Cr, 8-bit unshaved", chroma_error, "min", 2
    ),
    "chroma_centre": ExtraMetric(
        "RMSE of Cb and Cr within the central half of each side", chroma_centre, "min", 2
    ),
    "chroma_border": ExtraMetric(
        "RMSE of Cb and Cr within the outer eighth of each side", chroma_border, "min", 2
    ),
    "saturation": ExtraMetric("mean distance from grey over that of the target", saturation),
    "ssim_rgb": ExtraMetric(_SSIM, ssim_rgb, decimals=4),
    "ssim_misread": ExtraMetric(_MISREAD, ssim_misread, decimals=4),
    "fd_domains": ExtraMetric("written beside each value: it names the classifier", direction="min"),
    "kd_domains": ExtraMetric("written beside each value: it names the classifier", direction="min"),
}
