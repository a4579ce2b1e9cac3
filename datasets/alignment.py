"""Measurement of a pair: shift between HR and LR to a fraction of a pixel, contrast, colour cast, likeness.

The HR image is shrunk to the size of the LR image. Phase correlation (Kuglin and Hines, 1975) finds the
shift to a pixel; least squares on the gradients of the HR image (Lucas and Kanade, 1981, eq. 10, with gain
and offset as unknowns) refine it. Noise of the LR image does not bias it, since its gradients are not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from datasets.degrade import down
from datasets.pixels import RGB, RGB8, PixelFormat

WINDOW_PX = 384
"""Side of the square that is measured of a large LR image: of nine places, the one with most contrast."""
BANDS_PX = ((2.0, 8.0), (1.0, 6.0))
"""Standard deviations of the band-pass filters, coarse to fine, against noise and differences of exposure."""
ITERATIONS = 8
UNSURE_PX = 0.25
"""Standard error of a shift above which it is not known."""
CHANCE = 27.0
"""Correlation that two photographs reach by chance at their best shift, times the side in px (measured)."""
TOO_SMALL_PX = 40
"""Shorter side of an LR image below which correlation does not tell two pictures apart."""
FLAT_LEVELS = 1.0
"""Standard deviation of a band-passed image, in grey levels, below which it has no edges to compare."""
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Alignment:
    """A measured pair; shifts are in LR pixels, positive if the LR content lies further right or down."""

    right: float
    down: float
    error: float
    """Standard error of the shift along its worse axis, in LR pixels; infinite without edges of two
    directions."""
    gain: float
    """Contrast of the LR image over that of the HR image."""
    cast: float
    """Largest difference of a channel's mean from the mean difference of all channels, in grey levels."""
    correlation: float
    """Correlation of the aligned, band-passed luminance, -1 to 1; 1 if the image is too small or has no
    edges."""
    chance: float = 0.0
    """Correlation that images of this size reach though they do not show one picture."""

    @property
    def shift(self) -> float:
        """Length of the shift in LR pixels; 0 if it cannot be told, because the image has no edges."""
        return float(np.hypot(self.right, self.down)) if self.error <= UNSURE_PX else 0.0

    @property
    def is_same_picture(self) -> bool:
        """False if the two images do not show one scene; True if that cannot be told."""
        return self.correlation >= self.chance

    def row(self) -> tuple[str, ...]:
        """Return the values as text, in the order of COLUMNS."""
        known = self.error <= UNSURE_PX
        shift = (f"{self.right:.2f}", f"{self.down:.2f}") if known else ("", "")
        return *shift, f"{self.gain:.3f}", f"{self.cast:.1f}", f"{self.correlation:.3f}"


COLUMNS = ("shift_right_px", "shift_down_px", "gain", "colour_cast", "correlation")


def describe(rows: Sequence[Sequence[str]]) -> str:
    """Summarise rows of `Alignment.row` in one sentence."""
    shifts = sorted(float(np.hypot(float(row[0]), float(row[1]))) for row in rows if row[0])
    gains, casts = ([float(row[i]) for row in rows] for i in (2, 3))
    if not shifts:
        return "no shift could be measured, because the images have no edges"
    unknown = f", {len(rows) - len(shifts)} without edges" if len(shifts) < len(rows) else ""
    return (
        f"shift {shifts[len(shifts) // 2]:.2f} LR px at the median and {shifts[-1]:.2f} at most{unknown}, "
        f"contrast {min(gains):.2f} to {max(gains):.2f} of HR, colour cast up to {max(casts):.1f} grey levels"
    )


def measure(hr: np.ndarray, lr_image: np.ndarray, scale: int, of: PixelFormat = RGB8) -> Alignment:
    """Measure `lr_image` (h, w, bands) against `hr`, at least (h scale, w scale, bands).

    Grey levels are those of 255. The luminance is measured, or the mean of bands that are not RGB.
    """
    top, left, height, width = _window(lr_image)
    lr_part = lr_image[top : top + height, left : left + width]
    hr_part = hr[scale * top : scale * (top + height), scale * left : scale * (left + width)]
    pixels = torch.from_numpy(hr_part.copy()).permute(2, 0, 1)[None]
    small = down(pixels, scale, peak=of.peak)[0].permute(1, 2, 0).numpy()
    means = (lr_part.mean(axis=(0, 1)) - small.mean(axis=(0, 1))) * (255 / of.peak)
    weights = _LUMA if of.bands == RGB else np.full(of.channels, 1 / of.channels)
    planes = [part @ (weights * (255 / of.peak)) for part in (small, lr_part)]
    shift = np.array(_whole_pixels(*(_band(plane, *BANDS_PX[-1]) for plane in planes)), dtype=float)
    for band in BANDS_PX:
        shift, error, gain, correlation = _refined(*(_band(plane, *band) for plane in planes), shift)
    cast = float(np.abs(means - means.mean()).max())
    chance = float(np.clip(CHANCE / np.sqrt(height * width), 0.15, 0.6))
    return Alignment(float(shift[1]), float(shift[0]), error, gain, cast, correlation, chance)


def _window(lr_image: np.ndarray) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of the part to measure."""
    height, width = (min(side, WINDOW_PX) for side in lr_image.shape[:2])
    places = [
        (i * (lr_image.shape[0] - height) // 2, j * (lr_image.shape[1] - width) // 2)
        for i in range(3)
        for j in range(3)
    ]

    def contrast(place: tuple[int, int]) -> float:
        top, left = place
        return float(lr_image[top : top + height : 4, left : left + width : 4].std())

    top, left = max(dict.fromkeys(places), key=contrast)
    return top, left, height, width


def _band(plane: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(plane, fine, mode="nearest")
    return smooth - ndimage.gaussian_filter(plane, coarse, mode="nearest")


def _whole_pixels(reference: np.ndarray, moved: np.ndarray) -> tuple[int, int]:
    """Return the shift (down, right) in whole pixels, at most an eighth of a side."""
    window = np.outer(np.hanning(reference.shape[0]), np.hanning(reference.shape[1]))
    a, b = (np.fft.rfft2(plane * window) for plane in (reference, moved))
    cross = b * a.conj()
    # Whitened by the root of the power only: full whitening raises the noise of empty frequencies.
    surface = np.fft.irfft2(cross / np.sqrt(np.abs(cross) + 1e-9), s=reference.shape)
    for axis, side in enumerate(reference.shape):
        far = np.abs(np.fft.fftfreq(side, 1 / side)) > side // 8
        surface[(far, slice(None)) if axis == 0 else (slice(None), far)] = -np.inf
    peak = np.unravel_index(np.argmax(surface), surface.shape)
    shifts = [int(p) if p <= n // 2 else int(p) - n for p, n in zip(peak, surface.shape, strict=True)]
    return shifts[0], shifts[1]


def _refined(
    reference: np.ndarray, moved: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float, float, float]:
    """Return (shift down and right, standard error, gain, correlation) by least squares from `start`."""
    shift, gain, error = start.copy(), 1.0, np.inf
    margin = [min(int(abs(s)) + 4, n // 4) for s, n in zip(start, moved.shape, strict=True)]
    inside = tuple(slice(m, n - m) for m, n in zip(margin, moved.shape, strict=True))
    target = moved[inside].ravel()
    for _ in range(ITERATIONS):
        warped = ndimage.shift(reference, shift, order=3, mode="nearest")
        down_slope, right_slope = (slope[inside].ravel() for slope in np.gradient(warped))
        design = np.stack([-down_slope, -right_slope, warped[inside].ravel(), np.ones(target.size)], axis=1)
        normal = design.T @ design
        if normal[2, 2] < 1e-3 * target.size or np.linalg.cond(normal[:2, :2]) > 1e8:
            return start, np.inf, 1.0, 1.0  # no edges, or edges of one direction only
        solution = np.linalg.solve(normal, design.T @ target)
        gain = float(max(solution[2], 0.05))
        step = np.clip(solution[:2] / gain, -1, 1)
        variance = (target - design @ solution).var() / gain**2
        error = float(np.sqrt(variance * np.diag(np.linalg.inv(normal[:2, :2])).max()))
        shift += step
        if np.abs(step).max() < 0.002:
            break
    aligned = ndimage.shift(reference, shift, order=3, mode="nearest")[inside].ravel()
    if min(aligned.std(), target.std()) < FLAT_LEVELS:
        return shift, np.inf, gain, 1.0
    if min(moved.shape) < TOO_SMALL_PX:
        return shift, error, gain, 1.0
    return shift, error, gain, float(np.corrcoef(aligned, target)[0, 1])
