"""Near-duplicate detection from the hashes in the index; validate.py decides which image to drop.

Two images whose 64-bit dHashes differ in at most 4 bits are candidates. On aligned faces most candidates are
wrong (of 181 pairs among 10,000 CelebA images, 4 or 5 show one picture), so their 4x4 thumbnails must also be
alike: those of one picture differ by 0.6 to 5 grey levels, those of two people by 11 and more.
"""

from collections.abc import Sequence

import numpy as np

from datasets.manifest import IndexRow

NEAR_BITS = 4
NEAR_LEVELS = 8.0
"""Largest mean absolute difference of the 4x4 RGB thumbnails of near duplicates, in grey levels."""

_BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""First bit and width of each band of a hash: one more than NEAR_BITS, so that one of them is equal."""


def same_pictures(a: Sequence[IndexRow], b: Sequence[IndexRow]) -> list[tuple[int, int]]:
    """Return (i, j), sorted, of all a[i], b[j] that show one picture, even scaled, recompressed or edited."""
    pairs = near_pairs([int(row.dhash, 16) for row in a], [int(row.dhash, 16) for row in b])
    return [(i, j) for i, j in pairs if _look_alike(a[i].thumb, b[j].thumb)]


def _look_alike(a: str, b: str) -> bool:
    left, right = (np.frombuffer(bytes.fromhex(t), dtype=np.uint8).astype(np.int16) for t in (a, b))
    return float(np.abs(left - right).mean()) <= NEAR_LEVELS


def near_pairs(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Return (i, j), sorted, of all a[i], b[j] whose 64-bit hashes differ in at most NEAR_BITS bits.

    Hashes are cut into five bands. With at most four differing bits one band is equal, so only images that
    share a band are compared, not all pairs.
    """
    left, right = np.array(a, dtype=np.uint64), np.array(b, dtype=np.uint64)
    found: set[tuple[int, int]] = set()
    for shift, width in _BANDS:
        mask = np.uint64((1 << width) - 1)
        left_band, right_band = ((hashes >> np.uint64(shift)) & mask for hashes in (left, right))
        order = np.argsort(right_band, kind="stable")
        first = np.searchsorted(right_band[order], left_band, "left")
        last = np.searchsorted(right_band[order], left_band, "right")
        for i in np.nonzero(last > first)[0]:
            candidates = order[first[i] : last[i]]
            close = np.bitwise_count(left[i] ^ right[candidates]) <= NEAR_BITS
            found.update((int(i), int(j)) for j in candidates[close])
    return sorted(found)
