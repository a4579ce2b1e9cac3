"""Blur kernels of published degradations, float64 (size, size) with sum 1; corruption.py draws them.

Definitions as in BSRGAN (Zhang et al., 2021) and Real-ESRGAN (Wang et al., 2021, sec. 3.1 and 3.3).
"""

import numpy as np

SMALLEST_PX = 0.01
"""Standard deviations below this are this, which leaves an image as it is."""


def _grid(size: int, shift: float = 0.0) -> np.ndarray:
    """Return the offsets (x, y) of each pixel of a kernel from its centre plus `shift`, (size, size, 2)."""
    axis = np.arange(size) - (size - 1) / 2 - shift
    return np.stack(np.meshgrid(axis, axis), axis=-1)


def _distance(size: int, sigma: tuple[float, float], theta: float, shift: float = 0.0) -> np.ndarray:
    """Return the squared Mahalanobis distance of each pixel; `sigma` along axes turned by `theta`."""
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    inverse = turn @ np.diag([1 / max(s, SMALLEST_PX) ** 2 for s in sigma]) @ turn.T
    grid = _grid(size, shift)
    return np.einsum("...i,ij,...j", grid, inverse, grid)


def gaussian(
    size: int, sigma: tuple[float, float], theta: float = 0.0, beta: float = 1.0, shift: float = 0.0
) -> np.ndarray:
    """Return exp(-d^beta / 2) for the squared distance d: a Gaussian for beta = 1, else a generalised one.

    `sigma` in pixels along axes turned by `theta` radians; the centre moves right and down by `shift` pixels.
    """
    distance = _distance(size, sigma, theta, shift)
    return _normalised(np.exp(-0.5 * (distance - distance.min()) ** beta))


def plateau(size: int, sigma: tuple[float, float], theta: float = 0.0, beta: float = 1.0) -> np.ndarray:
    """Return 1 / (1 + d^beta) for the squared distance d, which is flat in the middle for large beta."""
    return _normalised(1 / (1 + _distance(size, sigma, theta) ** beta))


def sinc(size: int, cutoff: float) -> np.ndarray:
    """Return the circular low-pass filter with `cutoff` in radians per pixel (at most pi), which rings."""
    from scipy.special import j1

    radius = np.hypot(*np.moveaxis(_grid(size), -1, 0))
    radius[size // 2, size // 2] = 1  # the limit at the centre follows
    kernel = cutoff * j1(cutoff * radius) / (2 * np.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
    return _normalised(kernel)


def _normalised(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()
