"""16-bit colour PNG, which Pillow reads as 8 bit and cannot write: read by torchvision, written here.

Only pixels are read; trainers/inference/image_io.py reads the metadata.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> the number of the PNG specification, sec. 11.2.1
_UP = 2  # filter: the difference to the row above (sec. 9.2)
_ROWS = 256  # encoded at once
_LEVEL = 4  # of zlib: half the time of 6 for a few percent of size


def decode(data: bytes) -> np.ndarray:
    """Return uint16 (H, W, C) of a 16-bit PNG with C channels; OSError if it is damaged."""
    from torchvision.io import ImageReadMode, decode_png  # a second to import, for few files

    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    try:
        return decode_png(raw, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
    except RuntimeError as error:
        raise OSError(str(error).splitlines()[0]) from None


def write_pixels(path: Path, pixels: np.ndarray, icc: bytes | None, exif: bytes | None) -> None:
    """Save uint16 (H, W, C), C 1 to 4 (grey, grey + alpha, RGB, RGBA), with little extra memory."""
    height, width, channels = pixels.shape
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)))
        if icc:
            file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
        if exif:
            file.write(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
        for data in _deflated(pixels):
            file.write(_chunk(b"IDAT", data))
        file.write(_chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _deflated(pixels: np.ndarray) -> Iterator[bytes]:
    compressor = zlib.compressobj(_LEVEL)
    above = np.zeros((1, pixels[0].size * 2), np.uint8)
    for start in range(0, len(pixels), _ROWS):
        part = np.ascontiguousarray(pixels[start : start + _ROWS], ">u2")
        rows = part.reshape(len(part), -1).view(np.uint8)
        change = rows - np.concatenate([above, rows[:-1]])  # modulo 256, as the filter is defined
        marked = np.insert(change, 0, _UP, axis=1)
        above = rows[-1:]
        yield compressor.compress(marked.tobytes())
    yield compressor.flush()
