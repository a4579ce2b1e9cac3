"""Images that Pillow does not hold whole: TIFF, 16-bit PNG and .npy, as arrays of 8- or 16-bit bands.

What has no one meaning (floating point, signed values, several pages, palettes) is rejected with a reason,
never converted. codec.py decides which reader a file gets.
"""

import io
import logging
from typing import Any

import numpy as np
import tifffile

from datasets import png16
from datasets.errors import Rejected
from datasets.pixels import MAX_BANDS, PixelFormat

MAX_PIXELS = 64_000_000
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
NPY_MAGIC = b"\x93NUMPY"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PAGE_AXES = {"YX": None, "YXS": None, "SYX": 0, "CYX": 0, "YXC": None}
"""Axes of a TIFF series, and the place of the bands if they come first."""
_COLOURS = {
    1: "",
    2: "",
    6: "",
    0: "white is 0 in it",
    3: "it has a palette",
    5: "it is CMYK",
    8: "it is Lab",
}
_JPEG = 7
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file becomes a reason


def kind(data: bytes) -> str:
    """Return the extension of a file that this module reads (tif, npy, png of 16 bit); else ""."""
    if data[:4] in TIFF_MAGIC:
        return "tif"
    if data[:6] == NPY_MAGIC:
        return "npy"
    return "png" if data[:8] == _PNG_MAGIC and data[24:25] == b"\x10" else ""


def shape(data: bytes) -> tuple[int, int, int, int]:
    """Return (height, width, bands, bits) by the header of a file of some `kind`; Rejected if unsupported."""
    return _guarded(data, only_shape=True)


def read(data: bytes) -> np.ndarray:
    """Return uint8 or uint16 (H, W, bands) of a file of some `kind`; Rejected if that is not possible."""
    return _guarded(data, only_shape=False)


def fitted(image: np.ndarray, pixels: PixelFormat) -> np.ndarray:
    """Return `image` unchanged; Rejected unless it has the bands and the depth of `pixels`."""
    if image.dtype != pixels.dtype:
        if image.dtype == np.uint8:
            raise Rejected("8 bit, but the set has 16")
        raise Rejected("more than 8 bits per channel; convert it to 8")
    if image.shape[2] != pixels.channels:
        raise Rejected(
            f"{image.shape[2]} bands, but the set has {pixels.channels} ({', '.join(pixels.bands)})"
        )
    if (largest := int(image.max())) > pixels.peak:
        raise Rejected(f"a value of {largest}, but the largest of the set is {pixels.peak}; raise --peak")
    return image


def _guarded(data: bytes, *, only_shape: bool) -> Any:
    readers = {"tif": _tiff, "npy": _npy, "png": _png}
    try:
        found = readers[kind(data)](data, only_shape)
    except Rejected:
        raise
    except Exception as error:  # parsers raise any exception on broken bytes; none may end the import
        message = " ".join(str(error).split())[:120]
        if "imagecodecs" in message:
            raise Rejected("its compression needs the package imagecodecs: pip install imagecodecs") from None
        raise Rejected(f"cannot be decoded: {type(error).__name__}: {message}") from None
    return found if only_shape else np.ascontiguousarray(found)


def _checked(height: int, width: int, bands: int, dtype: np.dtype) -> tuple[int, int, int, int]:
    """Return (height, width, bands, bits) of what a header says; Rejected unless it is an image of a set."""
    if not height or not width or not bands:
        raise Rejected("it has no pixels")
    if height * width > MAX_PIXELS or height * width * bands > 4 * MAX_PIXELS:
        raise Rejected(
            f"{width}x{height} px of {bands} bands, more than {MAX_PIXELS} pixels; cut it into tiles"
        )
    if bands > MAX_BANDS:
        raise Rejected(f"{bands} bands, more than {MAX_BANDS}; the bands must be the last axis")
    if dtype.kind == "f":
        raise Rejected(
            f"{dtype.name} values have no fixed range; scale them to 16 bit and save them as uint16"
        )
    if dtype.kind == "i":
        raise Rejected(f"signed {8 * dtype.itemsize}-bit values; shift them to 0 and save them as uint16")
    if dtype not in (np.uint8, np.uint16):
        raise Rejected(f"{dtype.name} values; save them as uint8 or uint16")
    return height, width, bands, 8 * dtype.itemsize


def _png(data: bytes, only_shape: bool) -> Any:
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    found = _checked(height, width, {0: 1, 2: 3, 4: 2, 6: 4}.get(data[25], 0), np.dtype(np.uint16))
    return found if only_shape else opaque(png16.decode(data), data[25] in (4, 6))


def _npy(data: bytes, only_shape: bool) -> Any:
    file = io.BytesIO(data)
    major, _ = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    sizes, _, dtype = header(file)
    if dtype.hasobject:
        raise Rejected("it holds Python objects, which are not read")
    if len(sizes) not in (2, 3):
        raise Rejected(f"an array of shape {sizes}; an image is (height, width) or (height, width, bands)")
    _no_nan(data, dtype)
    found = _checked(*sizes[:2], (*sizes, 1)[2], dtype)
    if only_shape:
        return found
    array = np.load(io.BytesIO(data), allow_pickle=False)
    return array.reshape(found[:3]).astype(dtype.newbyteorder("="), copy=False)


def _no_nan(data: bytes, dtype: np.dtype) -> None:
    if dtype.kind == "f" and (missing := int(np.isnan(np.load(io.BytesIO(data), allow_pickle=False)).sum())):
        raise Rejected(f"{missing} of its {dtype.name} values are NaN; fill them and save it as uint16")


def _tiff(data: bytes, only_shape: bool) -> Any:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = _one_series(file)
        page = series.keyframe
        bands_first = _PAGE_AXES[series.axes] == 0
        sizes = series.shape[1:] + series.shape[:1] if bands_first else series.shape
        if page.bitspersample < 8:
            raise Rejected(f"{page.bitspersample} bit per value; save it as 8 or 16 bit")
        _check_nan(series)
        height, width, bands, bits = _checked(*sizes[:2], (*sizes, 1)[2], np.dtype(series.dtype))
        _check_page(page, len(data))
        alpha = [i for i, extra in enumerate(page.extrasamples or ()) if extra in (1, 2)]
        if only_shape:
            return height, width, bands - len(alpha), bits
        image = series.asarray()
        image = np.moveaxis(image, 0, -1) if bands_first else image
        image = image.reshape(height, width, bands).astype(np.uint8 if bits == 8 else np.uint16, copy=False)
        image = opaque(image, bool(alpha))
        turn = page.tags.get("Orientation")
        return UPRIGHT.get(int(turn.value) if turn else 1, np.asarray)(image)


def _one_series(file: tifffile.TiffFile) -> Any:
    """Return the image of a TIFF; Rejected if there are several (reduced copies of one do not count)."""
    full = [series for series in file.series if not series.keyframe.is_reduced]
    pages = sum(len(series) for series in full) if len(full) > 1 else len(full[0])
    if len(full) != 1 or full[0].axes not in _PAGE_AXES:
        axes = f", axes {full[0].axes}" if pages == 1 else ""
        raise Rejected(f"{pages} pages{axes}; an image is one page, its bands the samples of a pixel")
    return full[0]


def _check_nan(series: Any) -> None:
    if np.dtype(series.dtype).kind == "f" and series.size <= MAX_PIXELS:
        if missing := int(np.isnan(series.asarray()).sum()):
            raise Rejected(
                f"{missing} of its {series.dtype.name} values are NaN; fill them, save it as uint16"
            )


def _check_page(page: Any, length: int) -> None:
    """Raise Rejected for colours without a fixed meaning, and for data that is missing or would not fit."""
    reason = _COLOURS.get(int(page.photometric), "its colours are not grey, RGB or plain bands")
    if reason or (page.photometric == 6 and page.compression != _JPEG):
        raise Rejected(f"{reason or 'it is YCbCr'}; save it as RGB or as plain bands")
    if page.is_tiled and page.tilewidth * page.tilelength > MAX_PIXELS:
        raise Rejected(f"tiles of {page.tilewidth}x{page.tilelength} px, more than {MAX_PIXELS} pixels")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not count or offset + count > length:
            raise Rejected("parts of its pixels are missing: the file is cut off or sparse")


def opaque(image: np.ndarray, has_alpha: bool) -> np.ndarray:
    """Return the bands without alpha, which must be opaque everywhere."""
    if not has_alpha:
        return image
    if image[..., -1].min() < np.iinfo(image.dtype).max:
        raise Rejected("transparent pixels have no colour; flatten it first")
    return image[..., :-1]


UPRIGHT: dict[int, Any] = {  # EXIF and TIFF orientation -> its inverse
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.swapaxes(image, 0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(np.swapaxes(image, 0, 1), 2),
    8: np.rot90,
}
