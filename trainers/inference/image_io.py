"""Read and write picture files with alpha, grey, 16 bit, orientation, EXIF and ICC.

`read` returns the upright pixels as an array, `write` saves them in the format of the suffix. A file that
cannot be used is a UserError with one message.
"""

import glob
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from datasets import array_images, png16
from datasets.array_images import UPRIGHT
from datasets.errors import Rejected, UserError
from datasets.files import atomic_file
from datasets.folders import IMAGE_SUFFIXES, find_pictures
from trainers.inference import tiff

SUFFIXES = (*IMAGE_SUFFIXES, ".gif", ".jp2")
FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
MAX_SIDE = {"jpeg": 65_535, "webp": 16_383}  # pixels; limits of the file formats
QUALITY, MAX_SCANS = 95, 100  # a progressive JPEG has about ten scans; each takes the time of a decoding
_Tag, _Ifd = ExifTags.Base, ExifTags.IFD
_OF_THE_PHOTOGRAPH = {
    _Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.XResolution, _Tag.YResolution, _Tag.ResolutionUnit,
    _Tag.Software, _Tag.DateTime, _Tag.Artist, _Tag.HostComputer, _Tag.Rating, _Tag.Copyright,
    _Tag.XPTitle, _Tag.XPComment, _Tag.XPAuthor, _Tag.XPKeywords, _Tag.XPSubject, _Ifd.Exif, _Ifd.GPSInfo,
}  # fmt: skip
"""EXIF tags that a result keeps. All others describe the file: its strips, compression, thumbnail, size."""
_OF_THE_FILE = {
    _Tag.ExifImageWidth, _Tag.ExifImageHeight, _Tag.ComponentsConfiguration, _Tag.CompressedBitsPerPixel,
    _Ifd.Interop,
}  # fmt: skip
"""Tags in the EXIF directory itself that a result does not keep."""


@dataclass(frozen=True)
class Picture:
    """Upright pixels, and the properties that are saved with them."""

    pixels: np.ndarray
    """uint8 or uint16, (H, W) grey, (H, W, 3) RGB or (H, W, bands)."""
    alpha: np.ndarray | None = None
    """uint8 (H, W) opacity."""
    icc: bytes | None = None
    """Colour profile of the pixels."""
    exif: bytes | None = None
    """EXIF without the orientation, which is already applied."""
    notes: tuple[str, ...] = ()
    """Messages on properties of the file that reading dropped."""
    tags: tuple[tiff.Tag, ...] = ()
    """TIFF tags, such as the place on Earth."""


def expand(names: list[str], say: Callable[[str], None] = lambda _: None) -> list[tuple[Path, Path]]:
    """Return (file, its path below the output folder without suffix) of files, folders and globs.

    Folders are searched recursively by datasets.folders; `say` gets a sentence about the files that are not
    pictures. A name that exists is never a glob, so that file names may have brackets. A name that matches
    nothing stays in the list and fails when it is read, unlike the others. A file that is named twice, even
    by two paths, is returned once.
    """
    files: dict[Path, tuple[Path, Path]] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = find_pictures(path, SUFFIXES)
            if found.passed_over:
                say(f"{path}: passed over {found.describe()}")
            listed = [(path / below, Path(below).with_suffix("")) for below in found.names]
        elif path.exists() or not (matches := sorted(glob.glob(name, recursive=True))):
            listed = [(path, Path(path.stem))]
        else:
            listed = [(Path(m), Path(Path(m).stem)) for m in matches if Path(m).is_file()]
        for picture, below in listed:
            files.setdefault(picture.resolve(), (picture, below))
    return list(files.values())


def read(path: Path) -> Picture:
    """Read the picture at `path`, upright; UserError if there is none or it cannot be decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns at 89 megapixels and refuses at 179; the refusal is enough here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if (picture := _read_array(path)) is not None:
                return picture
            with Image.open(path) as image:
                if image.info.get("progressive") and path.read_bytes().count(b"\xff\xda") > MAX_SCANS:
                    raise UserError(f"a progressive JPEG of more than {MAX_SCANS} scans; save it again")
                deep = image.format == "PNG" and _has_16_bits(image)
                return _decode_deep(image, path) if deep else _decode(image)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder without pictures") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: not a picture that Pillow can read") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UserError(f"{path}: more than {limit} megapixels; cut it into parts first") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise UserError(f"{path}: damaged or cut off ({error})") from None


def _read_array(path: Path) -> Picture | None:
    """Return a picture that Pillow does not hold whole: .npy, and TIFF of 16 bit or many bands; else None."""
    data = path.read_bytes() if path.suffix.lower() in (".tif", ".tiff", ".npy") else b""
    kind = array_images.kind(data)
    if kind not in ("tif", "npy"):
        return None
    try:
        _, _, bands, bits = array_images.shape(data)
        if kind == "tif" and bits == 8 and bands in (1, 3):
            return None  # Pillow also reads its alpha and its palette
        pixels = array_images.read(data)
    except Rejected as error:
        if kind == "tif" and _pillow_reads(path):
            return None
        raise UserError(str(error)) from None
    tags, icc = tiff.read_tags(data) if kind == "tif" else ((), None)
    return Picture(pixels[..., 0] if bands == 1 else pixels, icc=icc, tags=tags)


def _pillow_reads(path: Path) -> bool:
    with suppress(OSError, SyntaxError, ValueError), Image.open(path) as image:
        return image.mode != "F"
    return False


def _decode(image: Image.Image) -> Picture:
    notes = _notes(image)
    icc, exif = image.info.get("icc_profile"), _exif_of_the_photograph(image)
    image.load()
    upright = ImageOps.exif_transpose(image)
    pixels, alpha, converted = _planes(upright)
    # a CMYK profile does not describe the RGB pixels made from it
    return Picture(pixels, alpha, None if converted else icc, exif, tuple(notes))


def _exif_of_the_photograph(image: Image.Image) -> bytes | None:
    """Return the EXIF without what describes the file; None if nothing is left or it cannot be written."""
    given, kept = image.getexif(), Image.Exif()
    for tag, value in given.items():
        if tag in _OF_THE_PHOTOGRAPH and tag not in (_Ifd.Exif, _Ifd.GPSInfo):
            kept[tag] = value
    for ifd in (_Ifd.Exif, _Ifd.GPSInfo):
        if values := {t: v for t, v in given.get_ifd(ifd).items() if t not in _OF_THE_FILE}:
            kept[ifd] = values
    try:
        return kept.tobytes() if len(kept) else None
    except (struct.error, TypeError, ValueError, AttributeError):  # values that contradict their tags' types
        return None


def _has_16_bits(image: Image.Image) -> bool:
    return image.mode in ("RGB", "RGBA", "LA") and bool(image.tile) and ";16" in str(image.tile[0][3])


def _decode_deep(image: Image.Image, path: Path) -> Picture:
    """Decode a 16-bit colour PNG: Pillow reads its metadata, png16 its pixels."""
    notes, orientation = _notes(image), image.getexif().get(_Tag.Orientation, 1)
    planes = UPRIGHT.get(orientation, np.asarray)(png16.decode(path.read_bytes()))
    alpha = None
    if planes.shape[2] in (2, 4):
        alpha = eight_bit(planes[..., -1])
        planes = planes[..., :-1]
        notes.append("16-bit transparency is read as 8-bit")
    pixels = np.ascontiguousarray(planes[..., 0] if planes.shape[2] == 1 else planes)
    if alpha is None:
        alpha = _alpha_of_key(image, pixels)
    icc, exif = image.info.get("icc_profile"), _exif_of_the_photograph(image)
    return Picture(pixels, alpha, icc, exif, tuple(notes))


def _alpha_of_key(image: Image.Image, pixels: np.ndarray) -> np.ndarray | None:
    """Return the opacity (H, W) of a 16-bit PNG with one transparent colour (tRNS); None without one."""
    key = image.info.get("transparency")
    if key is None:
        return None
    equal = pixels == np.asarray(key, pixels.dtype)
    return np.where(equal.all(axis=2) if pixels.ndim == 3 else equal, 0, 255).astype(np.uint8)


def eight_bit(values: np.ndarray) -> np.ndarray:
    """Convert uint16 to uint8, rounded; return uint8 unchanged."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _notes(image: Image.Image) -> list[str]:
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"only the first of {image.n_frames} frames is read")
    if image.format != "PNG" and _has_16_bits(image):
        notes.append("16-bit colour is read as 8-bit")
    if image.mode == "CMYK":
        notes.append("CMYK is converted to RGB without its profile")
    return notes


def _planes(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Return (pixels, alpha, True if the colour space was converted) of a decoded picture."""
    if image.mode.startswith("I;16") or image.mode == "I":
        pixels = _sixteen(np.asarray(image))
        return pixels, _alpha_of_key(image, pixels), False
    if image.mode == "F":
        raise UserError("floating-point pixels have no known range; save it as 8 or 16 bit")
    converted = image.mode in ("CMYK", "YCbCr", "LAB", "HSV")
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        whole = image.convert("LA" if grey else "RGBA")
        planes = np.asarray(whole)
        pixels = planes[..., 0] if whole.mode == "LA" else planes[..., :3]
        return np.ascontiguousarray(pixels), np.ascontiguousarray(planes[..., -1]), converted
    return np.array(image.convert("L" if grey else "RGB")), None, converted


def _sixteen(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or values.max() > 65_535:
        raise UserError("32-bit pixels have no known range; save it as 8 or 16 bit")
    return values.astype(np.uint16)


def check(path: Path, picture: Picture, scale: int) -> None:
    """Raise UserError if the format of `path` cannot hold `picture` at `scale` times its size."""
    kind = _kind(path)
    height, width = (side * scale for side in picture.pixels.shape[:2])
    if max(height, width) > MAX_SIDE.get(kind, max(height, width)):
        raise UserError(
            f"{path}: {width} x {height} px is beyond {kind}'s {MAX_SIDE[kind]:,} px a side; use --format png"
        )
    if (bands := np.atleast_3d(picture.pixels).shape[2]) not in (1, 3) and kind != "tiff":
        raise UserError(f"{path}: {kind} holds grey or RGB, not {bands} bands; use --format tiff")
    if picture.alpha is not None and kind == "jpeg":
        raise UserError(f"{path}: jpeg holds no transparency; use --format png or webp")


def _kind(path: Path) -> str:
    return next(name for name, suffix in FORMATS.items() if suffix == path.suffix)


def write(path: Path, picture: Picture) -> list[str]:
    """Save `picture` in the format of the suffix of `path`; return a message per property it drops.

    The file appears complete or not at all.

    Raises:
        UserError: as `check`.
        OSError: if the disk refuses.
    """
    check(path, picture, 1)
    kind = _kind(path)
    notes = []
    if picture.pixels.dtype == np.uint16 and kind in ("jpeg", "webp"):
        notes.append(f"{kind} holds 8 bit; --format png keeps 16, as does tiff")
        picture = replace(picture, pixels=eight_bit(picture.pixels))
    if picture.tags and kind != "tiff":
        notes.append(f"{kind} does not hold the tags of a TIFF; --format tiff keeps them")
    options = {} if kind == "png" else {"quality": QUALITY}
    metadata = {"icc_profile": picture.icc, "exif": picture.exif}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, durable=False) as part:
        if kind == "tiff":
            tiff.write(part, picture.pixels, picture.alpha, picture.icc, picture.exif, picture.tags)
        elif picture.pixels.dtype == np.uint16:
            planes = np.atleast_3d(picture.pixels)
            planes = planes if picture.alpha is None else tiff.with_alpha(planes, picture.alpha)
            png16.write_pixels(part, planes, picture.icc, picture.exif)
        else:
            image = Image.fromarray(picture.pixels)
            if picture.alpha is not None:
                image.putalpha(Image.fromarray(picture.alpha))
            image.save(part, format=kind, **options, **{k: v for k, v in metadata.items() if v})
    return notes


def enlarge(plane: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a uint8 array (H, W) or (H, W, 3) by `scale` with Pillow's bicubic kernel."""
    height, width = plane.shape[:2]
    size = (width * scale, height * scale)
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
