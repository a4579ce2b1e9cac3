"""The description of a set's pixels: names of the bands and largest value. No files, no decoding.

The manifest of a set holds it, the settings of a run (data.bands, data.peak) repeat it, and so does every
checkpoint. Photographs in 8-bit RGB are RGB8; whatever is not says so in its protocol.
"""

import re
from dataclasses import dataclass

import numpy as np

from datasets.errors import UserError

RGB = ("red", "green", "blue")
MAX_BANDS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")


@dataclass(frozen=True)
class PixelFormat:
    """Images (H, W, bands) of uint8, or of uint16 if `peak` is above 255; 0 is dark and `peak` is white."""

    bands: tuple[str, ...] = RGB
    peak: int = 255

    def __post_init__(self) -> None:
        if not 1 <= len(self.bands) <= MAX_BANDS or len(set(self.bands)) < len(self.bands):
            raise UserError(f"data.bands must be 1 to {MAX_BANDS} different names, but got {self.bands}")
        if wrong := [name for name in self.bands if not _NAME.fullmatch(name)]:
            raise UserError(f"data.bands must be letters, digits, '.', '_' and '-', but got {wrong[0]!r}")
        if not 1 <= self.peak <= 65_535:
            raise UserError(f"data.peak must be 1 to 65535, but got {self.peak}")

    @property
    def channels(self) -> int:
        """Number of bands."""
        return len(self.bands)

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values."""
        return np.dtype(np.uint8 if self.peak <= 255 else np.uint16)

    @property
    def is_rgb8(self) -> bool:
        """True for photographs in 8-bit RGB."""
        return self == RGB8

    @property
    def rgb(self) -> tuple[int, int, int] | None:
        """Places of the bands that are shown as red, green and blue; of one band three times; else None."""
        if self.channels == 1:
            return (0, 0, 0)
        if set(RGB) <= set(self.bands):
            red, green, blue = (self.bands.index(name) for name in RGB)
            return red, green, blue
        return None

    def __str__(self) -> str:
        return f"{', '.join(self.bands)} of 0 to {self.peak}"


RGB8 = PixelFormat()


def named(channels: int, peak: int) -> PixelFormat:
    """Return the format of images whose bands have no names: grey, red green blue, or band1, band2, ..."""
    names = {1: ("grey",), 3: RGB}.get(channels) or tuple(f"band{i + 1}" for i in range(channels))
    return PixelFormat(names, peak)


def as_rgb8(image: np.ndarray, pixels: PixelFormat) -> np.ndarray:
    """Return the red, green and blue band of (H, W, bands), rounded to 8 bit: uint8 (H, W, 3).

    A single band is repeated. UserError if the bands have other names.
    """
    if pixels.is_rgb8:
        return image
    if pixels.rgb is None:
        raise UserError(f"these images have no bands red, green and blue, but {', '.join(pixels.bands)}")
    chosen = image[..., list(pixels.rgb)].astype(np.uint32)
    return ((2 * 255 * chosen + pixels.peak) // (2 * pixels.peak)).astype(np.uint8)


def preview(image: np.ndarray, pixels: PixelFormat = RGB8) -> np.ndarray:
    """Return uint8 (H, W, 3) to look at or to compare by hash: the first bands if none is red, green, blue.

    Values that are not 8 bit are stretched to the range of the image, since sensors seldom reach their peak.
    """
    if pixels.is_rgb8:
        return image
    chosen = image[..., list(pixels.rgb or (0, min(1, pixels.channels - 1), min(2, pixels.channels - 1)))]
    low, high = (0, 255) if pixels.peak == 255 else (int(chosen.min()), int(chosen.max()))
    stretched = (chosen.astype(np.float64) - low) * (255 / max(1, high - low))
    return np.round(stretched).astype(np.uint8)
