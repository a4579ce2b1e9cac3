"""A cache of decoded images: one copy of a split per machine, memory-mapped by all processes.

The key of an entry is the digest of its content, so an entry never goes stale. It is built under a lock, as a
temporary folder that is renamed when complete: readers see a complete entry or none.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datasets.cache_eviction import META, evict, hold
from datasets.codec import decode, decoder, pixel_hash
from datasets.errors import DiskError, Rejected, UserError
from datasets.files import atomic_folder, locked, remove_leftovers
from datasets.manifest import EncodedImage, IndexRow, Manifest
from datasets.pixels import PixelFormat
from datasets.shard_reader import Location, samples
from datasets.text import short_number

LAYOUT = 1
PIXELS = "pixels.u8"


@dataclass(frozen=True)
class Decoded:
    """Decoded images: `flat`, a vector of uint8 or uint16, holds them end to end.

    Image i begins at element `offsets[i]` and has `shapes[i]` (H, W) pixels of `channels` values.
    """

    flat: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    channels: int
    in_use: BinaryIO
    """An open file whose lock keeps the cache entry from being evicted."""

    def image(self, i: int) -> np.ndarray:
        """Return image i, (H, W, channels), as a read-only view."""
        height, width = self.shapes[i]
        start = self.offsets[i]
        return self.flat[start : start + height * width * self.channels].reshape(height, width, -1)

    def crops(self, indices: np.ndarray, tops: np.ndarray, lefts: np.ndarray, side: int) -> np.ndarray:
        """Copy the square at (top, left) of each image in `indices`: (N, side, side, channels)."""
        channels, size = self.channels, self.flat.itemsize
        pitches = self.shapes[indices, 1] * channels
        first = self.offsets[indices] + tops * pitches + lefts * channels
        rows = first[:, None] + np.arange(side) * pitches[:, None]
        # Element k of `spans` is the `side` pixels from value k on, so a row is one copy, without a loop. The
        # view as an array is needed because slicing a memmap takes ten times as long.
        span, flat = np.dtype((np.void, side * channels * size)), self.flat.view(np.ndarray)
        spans = np.ndarray((flat.size - side * channels + 1,), span, flat, 0, (size,))
        return spans[rows].view(flat.dtype).reshape(-1, side, side, channels)


def key_of(manifest: Manifest, split: str, member: int = 0) -> str:
    """Return the key of a cache entry: 16 hex digits over everything that decides its bytes.

    `member` is 0 for photographs and the HR images of pairs, 1 for the LR images of pairs.
    """
    entry = manifest.splits[split]
    parts = [
        LAYOUT,
        decoder(manifest.pixels),
        manifest.transform,
        entry.index.sha256,
        *(s.sha256 for s in entry.shards),
    ]
    if member:
        parts.append(member)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def decoded(
    location: Location,
    manifest: Manifest,
    split: str,
    rows: list[IndexRow],
    folder: Path,
    limit_bytes: int,
    member: int,
) -> Decoded:
    """Return the cache entry of one split in `folder`, and build it if there is none.

    `member` is as for `key_of`. If `limit_bytes` is not 0, entries that no process uses are deleted first to
    make room. UserError if an image differs from its row in the index, or if the set alone exceeds the limit.
    """
    entry = folder / key_of(manifest, split, member)
    images = [row.images[member] for row in rows]
    values = sum(image.width * image.height for image in images) * manifest.pixels.channels
    needed = values * manifest.pixels.dtype.itemsize
    if 0 < limit_bytes < needed:
        raise UserError(
            f"data.cache_gb={limit_bytes / 1e9:g} is too small for {manifest.name}, which takes "
            f"{short_number(needed / 1e9)} GB decoded; raise it or set data.mode streamed"
        )
    folder.mkdir(parents=True, exist_ok=True)
    while (in_use := hold(entry)) is None:
        with locked(folder / f"{entry.name}.lock"):
            # A process that waited for the lock finds the entry that the previous holder built.
            if not (entry / META).is_file():
                if limit_bytes:
                    evict(folder, limit_bytes - needed)
                _build(entry, needed, location, manifest, split, rows, member)
    return _open(entry, needed, images, manifest.pixels, in_use)


def _build(
    entry: Path,
    needed: int,
    location: Location,
    manifest: Manifest,
    split: str,
    rows: list[IndexRow],
    member: int,
) -> None:
    remove_leftovers(entry)
    if (free := shutil.disk_usage(entry.parent).free) < needed:
        raise DiskError(
            f"the decoded images need {needed / 1e9:.1f} GB, but {entry.parent} has {free / 1e9:.1f} GB "
            f"free; choose another work folder or set data.mode streamed"
        )
    with atomic_folder(entry) as building:
        with open(building / PIXELS, "wb") as file:
            stream = samples(location, manifest.splits[split].shards)
            for row, (key, files) in zip(rows, stream, strict=True):
                if key != row.key:
                    raise UserError(
                        f"the shards hold image {key}, but the index lists {row.key}; import again"
                    )
                file.write(_checked_pixels(key, row.images[member], files[member], manifest).tobytes())
        (building / META).write_text(json.dumps({"images": len(rows), "key": entry.name}))


def _checked_pixels(key: str, image: EncodedImage, data: bytes, manifest: Manifest) -> np.ndarray:
    try:
        pixels = decode(data, manifest.transform, manifest.pixels)
    except Rejected as error:
        raise UserError(f"image {key} cannot be decoded: {error}; import again") from None
    if pixel_hash(pixels) != image.pixel_sha256:
        raise UserError(f"image {key} decodes to other pixels than when it was imported; import again")
    return pixels


def _open(
    entry: Path, needed: int, images: list[EncodedImage], pixels: PixelFormat, in_use: BinaryIO
) -> Decoded:
    shapes = np.array([(image.height, image.width) for image in images], dtype=np.int64).reshape(-1, 2)
    sizes = shapes.prod(axis=1) * pixels.channels
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    size = (entry / PIXELS).stat().st_size
    if size != needed:
        raise UserError(f"{entry / PIXELS} must have {needed} bytes, but has {size}; delete {entry}")
    flat = np.memmap(entry / PIXELS, dtype=pixels.dtype, mode="r")
    return Decoded(flat, offsets, shapes, pixels.channels, in_use)
