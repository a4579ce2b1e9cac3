"""One decoded uint8 copy of a split per machine: built once, memory-mapped, shared by all processes.

The key is the content's digest, so an entry never goes stale. The builder holds an flock, which the kernel
drops when it dies, and publishes by renaming a finished folder: readers see a whole entry or none.
"""

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datasets.cache_eviction import META, evict, hold
from datasets.codec import DECODER, Rejected, decode, pixel_hash
from datasets.errors import UserError
from datasets.files import atomic_write, locked
from datasets.manifest import Manifest, Row
from datasets.shard_reader import Location, samples

LAYOUT = 1
PIXELS = "pixels.u8"


@dataclass(frozen=True)
class Decoded:
    """Decoded images: `flat` uint8 holds them end to end, image i at `offsets[i]` with `shapes[i]` (H, W)."""

    flat: np.ndarray
    offsets: np.ndarray
    shapes: np.ndarray
    in_use: BinaryIO
    """Keeps the entry from being evicted as long as this object lives."""

    def image(self, i: int) -> np.ndarray:
        """uint8 (H, W, 3), read-only view."""
        height, width = self.shapes[i]
        start = self.offsets[i]
        return self.flat[start : start + height * width * 3].reshape(height, width, 3)

    def crops(self, indices: np.ndarray, tops: np.ndarray, lefts: np.ndarray, side: int) -> np.ndarray:
        """uint8 (N, side, side, 3): a copy of the square at (top, left) of each image named."""
        pitches = self.shapes[indices, 1] * 3
        first = self.offsets[indices] + tops * pitches + lefts * 3
        rows = first[:, None] + np.arange(side) * pitches[:, None]
        return self._rows(side)[rows].view(np.uint8).reshape(-1, side, side, 3)

    def _rows(self, side: int) -> np.ndarray:
        """A view whose element k is the `side` pixels from byte k on: a row is one copy, without a loop."""
        row = np.dtype((np.void, side * 3))
        # Slicing a memmap costs ten times what slicing an array does.
        return np.ndarray((self.flat.size - side * 3 + 1,), row, self.flat.view(np.ndarray), 0, (1,))


def key_of(manifest: Manifest, split: str) -> str:
    """16 hex digits of everything that decides the bytes of a cache entry."""
    entry = manifest.splits[split]
    parts = [LAYOUT, DECODER, manifest.transform, entry.index.sha256, *(s.sha256 for s in entry.shards)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def decoded(
    location: Location, manifest: Manifest, split: str, rows: list[Row], folder: Path, limit_bytes: int = 0
) -> Decoded:
    """The cache entry of one split under `folder`, built by this process if nobody has yet.

    With a limit, entries that no process has open make room. UserError where a decoded image is not the one
    that the index describes, and where the set alone is larger than the limit.
    """
    entry = folder / key_of(manifest, split)
    needed = sum(row.width * row.height * 3 for row in rows)
    if 0 < limit_bytes < needed:
        raise UserError(
            f"data.cache_gb={limit_bytes / 1e9:g} is too small for {manifest.name}, which takes "
            f"{needed / 1e9:.3g} GB decoded; raise it or set data.mode streamed"
        )
    folder.mkdir(parents=True, exist_ok=True)
    while (in_use := hold(entry)) is None:
        with locked(folder / f"{entry.name}.lock"):
            # Whoever waited for the lock finds the entry that its holder published.
            if not (entry / META).is_file():
                if limit_bytes:
                    evict(folder, limit_bytes - needed)
                _build(entry, location, manifest, split, rows)
    return _open(entry, rows, in_use)


def _build(entry: Path, location: Location, manifest: Manifest, split: str, rows: list[Row]) -> None:
    for leftover in entry.parent.glob(f".{entry.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)  # we hold the lock: its builder is dead
    building = entry.parent / f".{entry.name}.{uuid.uuid4().hex}"
    building.mkdir()
    _check_space(building, sum(row.width * row.height * 3 for row in rows))
    with open(building / PIXELS, "wb") as file:
        stream = samples(location, manifest.splits[split].shards)
        for row, (key, data) in zip(rows, stream, strict=True):
            file.write(_checked_pixels(row, key, data, manifest.transform).tobytes())
        file.flush()
        os.fsync(file.fileno())
    atomic_write(building / META, json.dumps({"images": len(rows), "key": entry.name}).encode())
    os.replace(building, entry)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"the decoded images need {needed / 1e9:.1f} GB, but {folder.parent} has {free / 1e9:.1f} GB "
            f"free; choose another work folder or set data.mode streamed"
        )


def _checked_pixels(row: Row, key: str, data: bytes, transform: str) -> np.ndarray:
    if key != row.key:
        raise UserError(f"the shards hold {key} where the index lists {row.key}; import again")
    try:
        pixels = decode(data, transform)
    except Rejected as error:
        raise UserError(f"image {key} cannot be decoded: {error}; import again") from None
    if pixel_hash(pixels) != row.pixel_sha256:
        raise UserError(f"image {key} decodes to other pixels here than where it was imported; import again")
    return pixels


def _open(entry: Path, rows: list[Row], in_use: BinaryIO) -> Decoded:
    shapes = np.array([(row.height, row.width) for row in rows], dtype=np.int64).reshape(-1, 2)
    sizes = shapes.prod(axis=1) * 3
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    expected = int(sizes.sum())
    if (entry / PIXELS).stat().st_size != expected:
        raise UserError(f"{entry / PIXELS} is not {expected} bytes long; delete {entry} to build it again")
    return Decoded(np.memmap(entry / PIXELS, dtype=np.uint8, mode="r"), offsets, shapes, in_use)
