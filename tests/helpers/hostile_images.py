"""Damaged, huge and disguised image files."""

import io
import zipfile

import numpy as np
from PIL import Image

NOISE = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)


SMOOTH = np.asarray(Image.fromarray(NOISE[:6, :5]).resize((40, 48), Image.Resampling.BICUBIC))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = Image.fromarray(SMOOTH)


JPEG, PNG, WEBP = saved(RGB, "JPEG", quality=95), saved(RGB, "PNG"), saved(RGB, "WEBP", lossless=True)


FRAMES = [Image.fromarray(np.roll(SMOOTH, i)) for i in range(3)]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compress: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


BOMB = zipped(("bomb.png", bytes(8 << 20)), compress=zipfile.ZIP_DEFLATED)
