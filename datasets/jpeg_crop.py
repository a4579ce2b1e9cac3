"""Decoding of JPEG crops through libjpeg-turbo 3, if this machine has it; otherwise images are decoded whole.

Rows above the crop are skipped without an inverse DCT and rows below are not read, which halves the time for
a 128 px crop of a 256 px photograph. The pixels equal those of a full decode: `find` compares them once and
refuses a library that differs.
"""

import ctypes
import ctypes.util
import importlib.util
import io
import threading
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint8, c_void_p
from functools import cache

import numpy as np
from PIL import Image

# Constants of turbojpeg.h, version 3: the operation for tj3Init, parameters for tj3Get, the pixel layout.
_DECOMPRESS, _SUBSAMPLING, _WIDTH, _HEIGHT, _RGB = 1, 4, 5, 6, 0
_MCU_WIDTH = {0: 8, 1: 16, 2: 16, 3: 8}
"""By subsampling: 4:4:4, 4:2:2, 4:2:0 and grey. Others are left out: releases upsample them differently."""
_MARGIN = 2
"""Columns beside the crop that affect its upsampled colours."""


class _Box(Structure):
    _fields_ = [(name, c_int) for name in ("x", "y", "w", "h")]


class Regions:
    """A decoder of JPEG crops that uses one loaded library; threads may share it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.tj3Init.restype = c_void_p
        library.tj3Get.argtypes = [c_void_p, c_int]
        library.tj3Destroy.argtypes = [c_void_p]
        library.tj3DecompressHeader.argtypes = [c_void_p, c_char_p, c_size_t]
        library.tj3SetCroppingRegion.argtypes = [c_void_p, _Box]
        pixels = POINTER(c_uint8)
        library.tj3Decompress8.argtypes = [c_void_p, c_char_p, c_size_t, pixels, c_int, c_int]
        self._library, self._local = library, threading.local()

    def crop(self, data: bytes, top: int, left: int, side: int) -> np.ndarray | None:
        """Return uint8 (side, side, 3) of a JPEG without EXIF rotation; None if it must be decoded whole."""
        library, handle = self._library, self._handle()
        if library.tj3DecompressHeader(handle, data, len(data)):
            return None
        step = _MCU_WIDTH.get(library.tj3Get(handle, _SUBSAMPLING))
        width, height = library.tj3Get(handle, _WIDTH), library.tj3Get(handle, _HEIGHT)
        if step is None or top + side > height or left + side > width:
            return None
        first = max(0, left - _MARGIN) // step * step
        columns = min(width, left + side + _MARGIN) - first
        pixels = np.empty((side, columns, 3), dtype=np.uint8)
        out = pixels.ctypes.data_as(POINTER(c_uint8))
        if library.tj3SetCroppingRegion(handle, _Box(first, top, columns, side)):
            return None
        if library.tj3Decompress8(handle, data, len(data), out, 0, _RGB):
            return None
        return pixels[:, left - first : left - first + side]

    def _handle(self) -> c_void_p:
        # A handle can be used by one thread at a time, so each thread has one, until the thread ends.
        if not hasattr(self._local, "owner"):
            self._local.owner = _Handle(self._library)
        return self._local.owner.value


class _Handle:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self.value = library, c_void_p(library.tj3Init(_DECOMPRESS))

    def __del__(self) -> None:
        self._library.tj3Destroy(self.value)


@cache
def find() -> Regions | None:
    """Return a decoder with the library of the turbojpeg package or of the system; None if neither works."""
    package = importlib.util.find_spec("turbojpeg")
    for name in (package and package.origin, ctypes.util.find_library("turbojpeg")):
        try:
            regions = Regions(ctypes.CDLL(name)) if name else None
        except (OSError, AttributeError):  # cannot be loaded here, or is older than version 3
            continue
        if regions and _agrees(regions):
            return regions
    return None


def _agrees(regions: Regions) -> bool:
    """Return True if crops of a grey and two colour JPEGs equal those of a full decode."""
    noise = np.random.default_rng(0).integers(0, 256, (72, 88, 3), dtype=np.uint8)
    for mode, subsampling in (("RGB", 0), ("RGB", 2), ("L", 0)):
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, "JPEG", quality=75, subsampling=subsampling)
        whole = np.asarray(Image.open(buffer).convert("RGB"))
        for top, left in ((0, 0), (7, 17), (23, 31), (40, 56)):
            part = regions.crop(buffer.getvalue(), top, left, 32)
            if part is None or not np.array_equal(part, whole[top : top + 32, left : left + 32]):
                return False
    return True
