"""TIFF results: grey, RGB or any number of bands of 8 or 16 bit, with the tags of the picture they come from.

Pixels are read by datasets/array_images.py; here are the tags, and the writing.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

_ICC, _RESOLUTION = 34675, (282, 283)
# description, camera, unit, software, date, artist, rights
_KEPT = (270, 271, 272, 296, 305, 306, 315, 33432)
_OF_THE_FILE = ('{"shape":', "shape=(", "ImageJ=", "<?xml", "<OME")
"""Begins of descriptions that state the sizes of the original file, by tifffile, ImageJ and OME."""
_GEOGRAPHIC = (33922, 34735, 34736, 34737, 42112, 42113)  # GeoTIFF keys; GDAL's band names and missing value
_PIXEL_SCALE, _TIE_POINTS, _MATRIX = 33550, 33922, 34264


@dataclass(frozen=True)
class Tag:
    """One entry of a TIFF directory: number, TIFF type, and values."""

    code: int
    kind: int
    value: Any

    @property
    def entry(self) -> tuple[int, int, int, Any, bool]:
        """The entry as tifffile writes it."""
        count = 0 if isinstance(self.value, str) else len(self.value) if isinstance(self.value, tuple) else 1
        return self.code, self.kind, count, self.value, True


def read_tags(data: bytes) -> tuple[tuple[Tag, ...], bytes | None]:
    """Return the tags of a TIFF that a result keeps, and its ICC profile."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        wanted = (*_KEPT, *_RESOLUTION, *_GEOGRAPHIC, _PIXEL_SCALE, _MATRIX)
        kept = [Tag(t.code, int(t.dtype), t.value) for code in wanted if (t := tags.get(code)) is not None]
        icc = tags.get(_ICC)
        return tuple(dict.fromkeys(kept)), bytes(icc.value) if icc else None


def enlarged(tags: tuple[Tag, ...], scale: int) -> tuple[Tag, ...]:
    """Return the tags of a picture with `scale` times as many pixels a side, at the same place on Earth."""
    changes = {
        _PIXEL_SCALE: lambda v: (v[0] / scale, v[1] / scale, *v[2:]),
        _TIE_POINTS: lambda v: tuple(x * scale if i % 6 < 2 else x for i, x in enumerate(v)),
        _MATRIX: lambda v: tuple(x / scale if i % 4 < 2 else x for i, x in enumerate(v)),
    }
    return tuple(replace(t, value=changes[t.code](t.value)) if t.code in changes else t for t in tags)


def write(
    path: Path,
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    icc: bytes | None,
    exif: bytes | None,
    tags: tuple[Tag, ...],
) -> None:
    """Save uint8 or uint16 (H, W) or (H, W, bands), compressed without loss; `alpha` is uint8 (H, W)."""
    planes = np.atleast_3d(pixels)
    is_rgb = planes.shape[2] == 3
    if alpha is not None:
        planes = with_alpha(planes, alpha)
    bands = planes.shape[2] - (3 if is_rgb else 1)
    extra = ["unassalpha" if alpha is not None and i == bands - 1 else "unspecified" for i in range(bands)]
    told = (t for t in (*_of_exif(exif), *tags) if not str(t.value).startswith(_OF_THE_FILE))
    entries = {t.code: t.entry for t in told}
    if icc:
        entries[_ICC] = (_ICC, 7, len(icc), icc, True)
    tifffile.imwrite(
        path,
        planes if planes.shape[2] > 1 else planes[..., 0],
        photometric="rgb" if is_rgb else "minisblack",
        planarconfig="contig" if planes.shape[2] > 1 else None,
        extrasamples=extra or None,
        compression="zlib",
        predictor=True,
        rowsperstrip=64,
        metadata=None,
        software=False,
        extratags=list(entries.values()),
    )


def with_alpha(planes: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return uint8 or uint16 (H, W, bands) with `alpha`, uint8 (H, W), as the last band of the same depth."""
    factor = 257 if planes.dtype == np.uint16 else 1
    return np.concatenate([planes, (alpha.astype(planes.dtype) * factor)[..., None]], axis=2)


def _of_exif(exif: bytes | None) -> list[Tag]:
    """Return the texts of the main EXIF directory, such as camera, artist and copyright."""
    loaded = Image.Exif()
    loaded.load(exif or b"")
    return [
        Tag(code, 2, value) for code, value in loaded.items() if isinstance(value, str) and value.isascii()
    ]
