"""Typical defects of super-resolution: departure from the input, colour shift, grid patterns, lost edges.

These diagnostics are defined by this project: their values compare with no published ones. They read pixels
only, no network.
"""

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from datasets.degrade import down
from trainers.metrics.distortion import psnr
from trainers.metrics.image_view import View, Views

LARGEST_DB = 99.0  # of equal images, so that means and differences stay finite


def lr_consistency(sr: Views, hr: Views) -> list[float]:
    """Return the PSNR in dB over all bands of degraded results against the network's inputs; 99 when equal.

    A published GAN (RealSR-DF2K) reaches 37 to 38 dB, as bicubic enlargement does; networks trained on the
    pixel loss reach more (trainers/objectives.py has the least that is feasible). The result is degraded by
    the degradation of the set (`Views.degradation`). Measured weakness (docs/metrics.md): a checkerboard of
    2 px and 4 grey levels costs at most 0.5 %, and sharpening bettered bicubic by 16 %.

    Raises:
        ValueError: an image has no input (`View.lr_image`).
    """
    return [_consistency(a, b, sr.degradation) for a, b in zip(sr, hr, strict=True)]


def _consistency(sr: View, hr: View, kind: str) -> float:
    if hr.lr_image is None:
        raise ValueError("lr_consistency needs the network's input beside each image")
    scale, peak = sr.pixels.shape[0] // hr.lr_image.shape[0], hr.format.peak
    pixels, wanted = (np.atleast_3d(image) for image in (sr.pixels, hr.lr_image))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    small = down(x, scale, kind, peak)[0].permute(1, 2, 0).numpy()
    return min(LARGEST_DB, psnr(small, wanted, peak))


def colour_shift(sr: Views, hr: Views) -> list[float]:
    """Return the Euclidean distance of the mean RGB of result and target, >= 0, in grey levels per image.

    Measured weakness (docs/metrics.md): it sees means alone, so nearest neighbour is better than a network
    by 81 %.
    """
    pairs = zip(sr, hr, strict=True)
    return [float(np.linalg.norm(a.rgb.mean(axis=(0, 1)) - b.rgb.mean(axis=(0, 1)))) for a, b in pairs]


def checkerboard(sr: Views, hr: Views) -> list[float]:
    """Return the unevenness of fine detail over the upsampling grid, >= 0, one value per image.

    The squared difference of luminance and its 3x3 mean is averaged at each of the `scale` x `scale` grid
    positions; the value is the standard deviation of these averages over their mean, 0 at scale 1.
    Transposed convolutions with overlap and pixel shuffle without ICNR leave such a pattern (Odena et al.,
    2016); photographs do not. Measured weakness (docs/metrics.md): it is blind to patterns that are equally
    strong at each position of the grid: a checkerboard of 2 or 4 px betters it by up to 86 %, noise by up
    to 89 %; bicubic enlargement has 0.43. `grid_detail` tells these apart.
    """
    return [_unevenness(view.y, view.border) for view in sr]


def _unevenness(y: np.ndarray, scale: int) -> float:
    if scale < 2:
        return 0.0
    grid = (_detail_on_grid(y, scale) ** 2).mean(axis=(0, 2))
    return float(grid.std() / grid.mean()) if grid.mean() else 0.0


def grid_detail(sr: Views, hr: Views) -> list[float]:
    """Return the share of fine detail that repeats on the upsampling grid, in [0, 1], one value per image.

    Fine detail is the difference of `View.brightness` and its 3x3 mean. It is averaged at each of the
    `scale` x `scale` grid positions; the value is the root mean square of the averages over that of all
    detail, 0 at scale 1. Pixel shuffle without ICNR and short GANs leave such patterns, often with a period
    of 2 px. Centres of 14 images of Set14 at four sizes have 0.02, at most 0.04; bicubic enlargements of them
    have 0.02, at most 0.08, and 0.55 with a checkerboard of one grey level.
    """
    return [_repeating(view.brightness, view.border) for view in sr]


def _repeating(y: np.ndarray, scale: int) -> float:
    if scale < 2:
        return 0.0
    grid = _detail_on_grid(y, scale)
    return float(np.sqrt((grid.mean(axis=(0, 2)) ** 2).mean() / (grid**2).mean())) if grid.any() else 0.0


def _detail_on_grid(y: np.ndarray, scale: int) -> np.ndarray:
    """Return the fine detail as (rows, scale, columns, scale): of each grid cell, at each position in it."""
    plane = y.astype(np.float64)
    detail = plane - uniform_filter(plane, 3, mode="nearest")
    rows, columns = (side // scale for side in detail.shape)
    return detail[: rows * scale, : columns * scale].reshape(rows, scale, columns, scale)


def sharpness_gap(sr: Views, hr: Views) -> list[float]:
    """Return |log2| of the ratio of mean luminance gradients of result and target, in octaves per image.

    0 when equally sharp; half or twice the gradient is 1, so blur and oversharpening count equally.
    Measured weakness (docs/metrics.md): any fine pattern serves: noise betters it by up to 49 %,
    checkerboards by up to 48 %.
    """
    pairs = zip(sr, hr, strict=True)
    return [float(abs(np.log2((_gradient(a.y) + 1e-3) / (_gradient(b.y) + 1e-3)))) for a, b in pairs]


def _gradient(y: np.ndarray) -> float:
    plane = y.astype(np.float64)
    return float(np.hypot(np.diff(plane, axis=0)[:, :-1], np.diff(plane, axis=1)[:-1]).mean())
