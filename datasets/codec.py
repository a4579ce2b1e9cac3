"""Image codec: strict decoding of bytes to pixels, named transforms, and three hashes. No files, no splits.

All images of datasets are decoded by this module (with array_images.py), so that the pixels of a key are the
same everywhere. An image that cannot be decoded completely and unambiguously is `Rejected`; the reason is
listed in rejected.csv.
"""

import hashlib
import io
import struct
import sys
from collections.abc import Callable

import numpy as np
import torch
from PIL import (
    Image,
    ImageOps,
    MpoImagePlugin,  # noqa: F401  (registers the format)
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from datasets import array_images, jpeg_crop
from datasets.errors import Rejected
from datasets.files import is_web_page
from datasets.manifest import EncodedImage
from datasets.pixels import RGB8, PixelFormat, named

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""The JPEG reader also opens MPO, which many phones write; its first picture is the photograph."""
EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}
MAX_BYTES = 64 << 20
MAX_PIXELS = array_images.MAX_PIXELS
MAX_PIXEL_SCANS = 15 * MAX_PIXELS
"""Work of a progressive JPEG, which is decoded once per scan; about a second."""
WORTH_TORCHVISION = 800_000_000
"""Pixels of JPEGs on which torchvision saves the five seconds that its import takes: 3 in place of 9 ms per
million."""
DECODER = "libjpeg-turbo or pillow; rgb8; exif applied"
"""Of photographs; part of every manifest and cache key, since another decoder may give other pixels."""


def decoder(pixels: PixelFormat) -> str:
    """Return the name of the decoders of images of `pixels`, part of every manifest and cache key."""
    return DECODER if pixels.is_rgb8 else f"{DECODER.partition(';')[0]} or tifffile or numpy; {pixels}"


def decode(data: bytes, transform: str = "none", pixels: PixelFormat = RGB8) -> np.ndarray:
    """Decode a still image to (H, W, bands) of `pixels`, upright according to EXIF, then transformed.

    The whole file is decoded, so a truncated file is noticed. Rejected if it has other bands or another depth
    than `pixels`; only a grey 8-bit image is repeated over red, green and blue.
    """
    _check_bytes(data)
    if array_images.kind(data):
        image = array_images.read(data)
        if pixels.is_rgb8 and image.dtype == np.uint8 and image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        return TRANSFORMS[transform](array_images.fitted(image, pixels))
    opened = _open(data)
    image = _upright_rgb(opened, data)
    if not pixels.is_rgb8:
        image = array_images.fitted(image[..., :1] if opened.mode == "L" else image, pixels)
    return TRANSFORMS[transform](np.ascontiguousarray(image))


def decode_crop(
    data: bytes, image: EncodedImage, transform: str, pixels: PixelFormat, top: int, left: int, side: int
) -> np.ndarray:
    """Return the square of `side` px at (top, left); a JPEG is decoded only there, if this machine can.

    The header of a JPEG is not checked again: this is for images that an import has accepted.
    """
    plain = image.ext == "jpg" and image.mode in ("RGB", "L") and pixels.is_rgb8
    regions = jpeg_crop.find() if transform == "none" and plain else None
    if regions and b"Exif\0\0" not in data:  # EXIF may rotate the picture, and so move the crop
        part = regions.crop(data, top, left, side)
        if part is not None:
            return part
    whole = TRANSFORMS[transform](_jpeg(data)) if plain else decode(data, transform, pixels)
    return whole[top : top + side, left : left + side]


def extension(data: bytes) -> str:
    """Return the file extension that fits the content; names can be wrong (LSUN's .webp files are JPEG)."""
    return array_images.kind(data) or EXTENSIONS[_open(data).format or ""]


def mode(data: bytes) -> str:
    """Return Pillow's mode of the file; "L" (grey) images are measured by benchmarks without conversion.

    An image that Pillow does not hold has its bands and bits instead: "5x16".
    """
    if not array_images.kind(data):
        return _open(data).mode
    _, _, bands, bits = array_images.shape(data)
    return f"{bands}x{bits}"


def format_of(data: bytes) -> PixelFormat:
    """Return the pixels of a file by its header: its bands without names, and the peak of its depth.

    8-bit photographs are RGB8 even if they are grey. Rejected if it cannot be read.
    """
    _check_bytes(data)
    if not array_images.kind(data):
        _open(data)
        return RGB8
    _, _, bands, bits = array_images.shape(data)
    return RGB8 if (bands, bits) == (1, 8) else named(bands, 2**bits - 1)


def size_of(data: bytes) -> tuple[int, int]:
    """Return (height, width) after EXIF rotation, read from the header."""
    if array_images.kind(data):
        return array_images.shape(data)[:2]
    image = _open(data)
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.width, image.height) if turned else (image.height, image.width)


def _check_bytes(data: bytes) -> None:
    if not data:
        raise Rejected("empty file")
    if len(data) > MAX_BYTES:
        raise Rejected(f"{len(data)} bytes, more than {MAX_BYTES}")


def _open(data: bytes) -> Image.Image:
    """Open an image and check format, size and number of frames in its header; decode nothing yet."""
    _check_bytes(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        start = f"starts with {data[:8].hex(' ')}"
        hint = "it starts like a web page (was a download refused?)" if is_web_page(data) else start
        raise Rejected(f"not an image: {hint}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Rejected(f"more than {MAX_PIXELS} pixels in the header") from None
    except Exception as error:  # Pillow's parsers raise many kinds on broken headers
        raise Rejected(f"broken header: {type(error).__name__}: {error}") from None
    if image.width * image.height > MAX_PIXELS:
        raise Rejected(f"{image.width}x{image.height} px, more than {MAX_PIXELS} pixels")
    if frames > 1:
        raise Rejected(f"animated, {frames} frames")
    return image


def _upright_rgb(image: Image.Image, data: bytes) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise Rejected("more than 8 bits per channel; convert it to 8")
    if image.mode == "CMYK":
        raise Rejected("CMYK: its colours depend on a profile; convert it to RGB")
    try:
        if image.format in ("JPEG", "MPO"):
            return _jpeg(data)
        image.load()
        has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        upright = ImageOps.exif_transpose(image).convert("RGBA" if has_alpha else "RGB")
        return array_images.opaque(np.asarray(upright), has_alpha)
    except Rejected:
        raise
    except Exception as error:  # decoders raise any exception on broken bytes; none may end the import
        raise Rejected(f"cannot be decoded: {type(error).__name__}: {error}") from None


class _Jpeg:
    """Decoder of JPEGs to (H, W, 3), upright: by Pillow, after many pixels by torchvision.

    What one cannot read the other one tries, so a damaged file is accepted or not whatever was decoded
    before. Where both can, their pixels are equal (tested).
    """

    def __init__(self) -> None:
        self.pixels = 0

    def __call__(self, data: bytes) -> np.ndarray:
        """Decode a JPEG; Rejected, or an error of the decoders, if that is impossible."""
        self.pixels += _check_jpeg_work(data)
        decoders = [_by_pillow, _by_torchvision]
        if self.pixels > WORTH_TORCHVISION or "torchvision" in sys.modules:
            decoders.reverse()
        try:
            return decoders[0](data)
        except Exception:  # of any type, on broken bytes
            return decoders[1](data)


_jpeg = _Jpeg()


def _by_pillow(data: bytes) -> np.ndarray:
    # a copy, because the array of a picture is read-only
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def _by_torchvision(data: bytes) -> np.ndarray:
    from torchvision.io import ImageReadMode, decode_jpeg

    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    pixels = decode_jpeg(raw, ImageReadMode.RGB, apply_exif_orientation=True)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _check_jpeg_work(data: bytes) -> int:
    """Return the pixels of a JPEG; Rejected if they, or the scans over them, are too many by its markers.

    A progressive file of 422 kB with 600 scans took 15 s; ordinary ones have about ten.
    """
    pixels, at = 0, 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack(">2H", data[at + 5 : at + 9])
            pixels = max(pixels, height * width)
        if marker == 0xDA or length < 2:  # the start of a scan
            break
        at += 2 + length
    if pixels > MAX_PIXELS:
        raise Rejected(f"{pixels} pixels, more than {MAX_PIXELS}")
    scans = data.count(b"\xff\xda")
    if pixels * scans > MAX_PIXEL_SCANS:
        raise Rejected(f"{scans} scans of {pixels} pixels take too long to decode")
    return pixels


def _celeba128(pixels: np.ndarray) -> np.ndarray:
    """Crop the central 178x178 px of an aligned CelebA image and resize to 128x128 (antialiased bicubic)."""
    height, width = pixels.shape[:2]
    if (height, width) != (218, 178):
        raise Rejected(f"{width}x{height} px, but aligned CelebA images are 178x218")
    square = Image.fromarray(pixels).crop((0, 20, 178, 198))
    return np.asarray(square.resize((128, 128), Image.Resampling.BICUBIC))


TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda pixels: pixels,
    "celeba128": _celeba128,
}


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 (H, W, 3) as PNG, reproducibly; level 1, since higher levels hardly make tiles smaller."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pixel_hash(pixels: np.ndarray) -> str:
    """Return the SHA-256 of shape and pixels, equal for one picture in two lossless file formats."""
    shape = struct.pack("<3I", *pixels.shape)
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


THUMB = 4


def thumbnail(pixels: np.ndarray) -> bytes:
    """Shrink a picture to uint8 (4, 4, 3), as 48 bytes, to compare overall colours and layout."""
    small = Image.fromarray(pixels).resize((THUMB, THUMB), Image.Resampling.BOX)
    return small.tobytes()


def difference_hash(pixels: np.ndarray) -> int:
    """Return the 64-bit dHash; small edits (scaling, recompression) change few bits.

    Each bit says if one of 8x8 cells of a 9x8 grey thumbnail is brighter than its right neighbour.
    """
    grey = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(grey, dtype=np.int16)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")
