"""A source that cuts large photographs into square tiles."""

import hashlib
from collections.abc import Sequence

import numpy as np

from datasets.codec import decode, encode_png, size_of
from datasets.errors import Rejected
from datasets.folders import PassedOver
from datasets.sources import ArchiveMember, Source, passed_over

Box = tuple[ArchiveMember, int, int]


def starts(length: int, tile_px: int, stride_px: int) -> range:
    """Return the offsets of the tiles that fit completely along one axis."""
    return range(0, length - tile_px + 1, stride_px)


def contrast(tile: np.ndarray) -> float:
    """Return the standard deviation of the mean of the channels, in grey levels; near 0 for empty sky."""
    # Every second row and column is enough, and four times as fast.
    return float(tile[::2, ::2].mean(axis=2, dtype=np.float32).std())


def evenly(items: Sequence, limit: int) -> list:
    """Return at most `limit` of the items, evenly spaced; all if `limit` is 0."""
    if not limit or len(items) <= limit:
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


class TiledSource:
    """Tiles of another source's photographs, as PNG (lossless).

    Tiles with a contrast below `min_contrast` grey levels are left out; of the others, at most `limit` per
    photograph are used, evenly spaced.
    """

    def __init__(
        self, photographs: Source, *, tile_px: int, stride_px: int, min_contrast: float = 0.0, limit: int = 0
    ) -> None:
        self.name = photographs.name
        self._source = photographs
        self._settings = (tile_px, stride_px, min_contrast, limit)
        self._boxes: dict[str, Box] = {}
        self._too_small: list[PassedOver] = []
        self._last: tuple[str, np.ndarray] = ("", np.empty(0))

    def fingerprint(self) -> str:
        text = f"{self._source.fingerprint()} {self._settings}"
        return hashlib.sha256(text.encode()).hexdigest()

    def members(self) -> list[ArchiveMember]:
        tile_px, _, min_contrast, _ = self._settings
        tiles, self._too_small = [], []
        for photograph in self._source.members():
            try:
                places = self._places(photograph)
            except Rejected:
                tiles.append(photograph)  # `read` returns it uncut, so validation rejects it by its name
                continue
            if not places and not min_contrast:
                self._too_small.append((photograph.name, f"smaller than a tile of {tile_px} px"))
            for top, left in places:
                key = f"{photograph.key}-y{top:04d}x{left:04d}"
                self._boxes[key] = (photograph, top, left)
                tiles.append(ArchiveMember(key, f"{photograph.name}@{top},{left}", photograph.photograph))
        return tiles

    @property
    def passed_over(self) -> list[PassedOver]:
        """The photographs that `members` found too small, and what their source passes over."""
        return [*self._too_small, *passed_over(self._source)]

    def _places(self, photograph: ArchiveMember) -> list[tuple[int, int]]:
        tile_px, stride_px, min_contrast, limit = self._settings
        if min_contrast:
            height, width = self._photo(photograph).shape[:2]
        else:
            height, width = size_of(self._source.read(photograph))
        columns = starts(width, tile_px, stride_px)
        places = [(top, left) for top in starts(height, tile_px, stride_px) for left in columns]
        if min_contrast:
            places = [p for p in places if contrast(self._tile((photograph, *p))) >= min_contrast]
        return evenly(places, limit)

    def _photo(self, photograph: ArchiveMember) -> np.ndarray:
        # Tiles are read photograph by photograph, so a cache of one decoded picture is enough.
        key, pixels = self._last
        if key != photograph.key:
            pixels = decode(self._source.read(photograph))
            self._last = (photograph.key, pixels)
        return pixels

    def _tile(self, box: Box) -> np.ndarray:
        photograph, top, left = box
        tile_px = self._settings[0]
        return self._photo(photograph)[top : top + tile_px, left : left + tile_px]

    def read(self, member: ArchiveMember) -> bytes:
        if member.key not in self._boxes:
            return self._source.read(member)
        return encode_png(self._tile(self._boxes[member.key]))
