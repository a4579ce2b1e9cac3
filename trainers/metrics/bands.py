"""Distortion over all bands of images of any depth: PSNR, SSIM, spectral angle and ERGAS.

A border of `scale` pixels is shaved. Each takes sets of views and returns one value per image; of 8-bit RGB,
`psnr` equals distortion.psnr_rgb.
"""

import numpy as np

from trainers.metrics import distortion
from trainers.metrics.image_view import View, Views


def _bands(view: View) -> np.ndarray:
    """Return the shaved pixels as (H, W, bands)."""
    return np.atleast_3d(view.shaved)


def psnr(sr: Views, hr: Views) -> list[float]:
    """Return 10 log10(peak^2 / MSE) over all bands in dB; inf when equal."""
    return [distortion.psnr(a.shaved, b.shaved, b.format.peak) for a, b in zip(sr, hr, strict=True)]


def ssim(sr: Views, hr: Views) -> list[float]:
    """Return the mean over the bands of each band's SSIM (Wang et al., 2004, eq. 13) with L = peak."""
    return [_mean_ssim(_bands(a), _bands(b), b.format.peak) for a, b in zip(sr, hr, strict=True)]


def _mean_ssim(a: np.ndarray, b: np.ndarray, peak: int) -> float:
    # SSIM does not change if pixels and L are multiplied by one factor
    planes = (np.moveaxis(image, -1, 0).astype(np.float64) * (255 / peak) for image in (a, b))
    return float(np.mean([distortion.ssim(x, y) for x, y in zip(*planes, strict=True)]))


def sam(sr: Views, hr: Views) -> list[float]:
    """Return the mean angle between the spectra of result and target, in degrees (Kruse et al., 1993, eq. 1).

    0 when all spectra are proportional, so a single band always has 0. A black pixel has no angle: it counts
    as 0 if both are black, else as 90.
    """
    return [_angle(_bands(a), _bands(b)) for a, b in zip(sr, hr, strict=True)]


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x, axis=2) * np.linalg.norm(y, axis=2)
    both_black = ~(x.any(axis=2) | y.any(axis=2))
    cosine = np.where(both_black, 1.0, (x * y).sum(axis=2) / np.maximum(lengths, 1e-12))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def ergas(sr: Views, hr: Views) -> list[float]:
    """Return ERGAS, the relative global error in percent (Wald, 2000, eq. 6): 0 when equal.

    100 / scale times the root of the mean over bands of (RMSE / mean of the target)^2; a mean below one grey
    level counts as one.
    """
    return [_ergas(_bands(a), _bands(b), max(1, b.border)) for a, b in zip(sr, hr, strict=True)]


def _ergas(a: np.ndarray, b: np.ndarray, scale: int) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = ((x - y) ** 2).mean(axis=(0, 1))
    return float(100 / scale * np.sqrt((squares / np.maximum(y.mean(axis=(0, 1)), 1.0) ** 2).mean()))
