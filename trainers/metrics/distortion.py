"""Distance of pixels from the target: PSNR, RMSE and SSIM by the conventions of the benchmark tables.

8-bit images, border of `scale` pixels shaved, luminance Y in 16..235 rounded to 8 bit before any difference.
Values equal the MATLAB tables of the SelfExSR release to 1e-4 dB. The metrics at the end of the file take
sets of views and return one value per image.
"""

import math

import numpy as np

from trainers.metrics.image_view import Views

_PEAK = 255.0
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003), sec. 3.2
SSIM_MIN_SIDE = 11  # the window
MS_SSIM_MIN_SIDE = SSIM_MIN_SIDE * 2 ** (len(_MS_WEIGHTS) - 1)


def _gaussian_11() -> tuple[float, ...]:
    """Return half of the 11-tap window with sigma 1.5: the weights of the offsets 0..5.

    Without vectors: a core that divides them wrongly (datasets/arithmetic.py) spoilt it for whole processes.
    """
    taps = [math.exp(-(offset**2) / (2 * 1.5**2)) for offset in range(6)]
    total = math.fsum([*taps, *taps[1:]])
    return tuple(tap / total for tap in taps)


_HALF_WINDOW = _gaussian_11()


def _require_same_shape(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"images must have the same shape, but got {a.shape} and {b.shape}")


def mse(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean squared difference of two arrays, in grey levels squared; exact for whole numbers.

    ValueError if the shapes differ.
    """
    _require_same_shape(a, b)
    if a.dtype == np.float64:
        return float(np.mean(np.square(a - b)))
    # integer squares are exact, so the order of addition does not matter
    difference = a.astype(np.int32 if a.dtype == np.uint8 else np.int64) - b
    return float(np.mean(difference * difference, dtype=np.float64))


def psnr(a: np.ndarray, b: np.ndarray, peak: float = _PEAK) -> float:
    """Return 10 log10(peak^2 / MSE) of two arrays of uint8, uint16 or float64 in dB; inf when equal.

    ValueError if the shapes differ.
    """
    error = mse(a, b)
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def _blur(x: np.ndarray) -> np.ndarray:
    """Filter by the 11x11 Gaussian window at valid positions only: (..., H, W) -> (..., H - 10, W - 10)."""
    h, w = x.shape[-2] - 10, x.shape[-1] - 10
    rows = x[..., 5 : 5 + h, :] * _HALF_WINDOW[0]
    for k in range(1, 6):
        rows += (x[..., 5 - k : 5 - k + h, :] + x[..., 5 + k : 5 + k + h, :]) * _HALF_WINDOW[k]
    out = rows[..., 5 : 5 + w] * _HALF_WINDOW[0]
    for k in range(1, 6):
        out += (rows[..., 5 - k : 5 - k + w] + rows[..., 5 + k : 5 + k + w]) * _HALF_WINDOW[k]
    return out


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the structural similarity in [-1, 1] of two planes (H, W) of 0..255 (Wang et al., 2004, eq. 13).

    11x11 Gaussian window of sigma 1.5 at valid positions, K1 = 0.01, K2 = 0.03, L = 255, population
    covariance, mean of the map, float64.

    Raises:
        ValueError: the shapes differ, or a side is below 11 pixels.
        RuntimeError: the result is no SSIM, so this process computes wrongly; another one may not.
    """
    _require_same_shape(a, b)
    if min(a.shape) < SSIM_MIN_SIDE:
        raise ValueError(f"SSIM needs at least 11 pixels a side after the border, but got {a.shape}")
    return _ssim_terms(a.astype(np.float64), b.astype(np.float64))[0]


def _ssim_terms(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return mean SSIM and the mean of its contrast-structure factor, of float64 planes in grey levels."""
    # The formula holds the two variances as a sum only, so four filtered planes are enough.
    mu_a, mu_b, squares, product = _blur(np.stack((a, b, a * a + b * b, a * b)))
    mu_squares, mu_product = mu_a * mu_a + mu_b * mu_b, mu_a * mu_b
    contrast = (2 * (product - mu_product) + _C2) / (squares - mu_squares + _C2)
    luminance = (2 * mu_product + _C1) / (mu_squares + _C1)
    whole, factor = float(np.mean(luminance * contrast)), float(np.mean(contrast))
    if not max(abs(whole), abs(factor)) <= 1 + 1e-9:
        # as of a window whose weights do not sum to 1: a wrong number must not be recorded
        raise RuntimeError(f"SSIM of {whole:.4g} is outside -1 to 1: this process computes wrongly")
    return whole, factor


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the multi-scale SSIM in [0, 1] of two uint8 planes (H, W) (Wang et al., 2003, eq. 7, 5 scales).

    Each scale is the 2x2 mean of the previous one; a negative contrast term counts as 0.

    Raises:
        ValueError: the shapes differ, or a side is below 176 pixels.
    """
    _require_same_shape(a, b)
    if min(a.shape) < MS_SSIM_MIN_SIDE:
        raise ValueError(f"MS-SSIM needs at least {MS_SSIM_MIN_SIDE} pixels a side, but got {a.shape}")
    x, y, value = a.astype(np.float64), b.astype(np.float64), 1.0
    for i, weight in enumerate(_MS_WEIGHTS):
        whole, contrast = _ssim_terms(x, y)
        value *= max(0.0, whole if i == len(_MS_WEIGHTS) - 1 else contrast) ** weight
        x, y = _halved(x), _halved(y)
    return value


def _halved(x: np.ndarray) -> np.ndarray:
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean(axis=(1, 3))


def psnr_y(sr: Views, hr: Views) -> list[float]:
    """Return the PSNR of rounded luminance in dB, one value per image.

    Measured weakness (docs/metrics.md): nothing betters a network's result, since it prefers the mean of all
    plausible pictures, and a red cast of 4 grey levels costs 0.2 %.
    """
    return [psnr(a.y, b.y) for a, b in zip(sr, hr, strict=True)]


def psnr_rgb(sr: Views, hr: Views) -> list[float]:
    """Return the PSNR over RGB in dB, one value per image; usually 1.3 to 1.7 dB below PSNR-Y.

    Measured weakness (docs/metrics.md): nothing betters a network's result, since it prefers the mean of all
    plausible pictures; texture as strong as noise of 6 grey levels costs 6 %.
    """
    return [psnr(a.shaved, b.shaved) for a, b in zip(sr, hr, strict=True)]


def rmse_y(sr: Views, hr: Views) -> list[float]:
    """Return the RMSE of rounded luminance in grey levels (PIRM 2018), one value per image.

    Measured weakness (docs/metrics.md): nothing betters a network's result, since it prefers the mean of all
    plausible pictures, and a red cast of 4 grey levels costs 0.3 %.
    """
    return [math.sqrt(mse(a.y, b.y)) for a, b in zip(sr, hr, strict=True)]


def ssim_y(sr: Views, hr: Views) -> list[float]:
    """Return the SSIM of rounded luminance, one value per image.

    Measured weakness (docs/metrics.md): casts of 4 grey levels cost at most 0.1 %, and sharpening bettered
    bicubic by 2 %.
    """
    return [ssim(a.y, b.y) for a, b in zip(sr, hr, strict=True)]


def psnr_y_float(sr: Views, hr: Views) -> list[float]:
    """Return the PSNR of luminance that is not rounded, in dB, one value per image.

    The convention of BasicSR and so of the tables of most networks since 2018; up to 0.03 dB above psnr_y,
    whose rounding adds an error of its own. Weaknesses as `psnr_y`.
    """
    return [psnr(a.y_float, b.y_float) for a, b in zip(sr, hr, strict=True)]


def ssim_y_float(sr: Views, hr: Views) -> list[float]:
    """Return the SSIM of luminance that is not rounded, one value per image: BasicSR's convention.

    About 0.001 above ssim_y. Weaknesses as `ssim_y`.
    """
    return [ssim(a.y_float, b.y_float) for a, b in zip(sr, hr, strict=True)]


def ms_ssim_y(sr: Views, hr: Views) -> list[float]:
    """Return the multi-scale SSIM of rounded luminance, one value per image.

    Measured weakness (docs/metrics.md): it hardly reacts: a checkerboard of 2 px and 4 grey levels costs
    0.4 %, JPEG of quality 50 costs 0.3 %, and casts cost nothing.
    """
    return [ms_ssim(a.y, b.y) for a, b in zip(sr, hr, strict=True)]
