"""Same pictures under other names: exact by pixel hash, near by dHash. Who drops which: shards.py."""

from collections.abc import Sequence

import numpy as np

NEAR = 4
"""Differing bits of the 64-bit dHash up to which two images count as one picture."""

_BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))


def near_pairs(a: Sequence[int], b: Sequence[int], distance: int = NEAR) -> list[tuple[int, int]]:
    """(i, j), sorted, of all a[i], b[j] whose 64-bit hashes differ in at most `distance` (0..4) bits.

    Five bands of bits and at most four differences: some band is equal, so only images that share a band
    are compared, not all pairs.
    """
    if not 0 <= distance < len(_BANDS):
        raise ValueError(f"distance must be below {len(_BANDS)}, but got {distance}")
    left, right = np.array(a, dtype=np.uint64), np.array(b, dtype=np.uint64)
    found: set[tuple[int, int]] = set()
    for shift, width in _BANDS:
        mask = np.uint64((1 << width) - 1)
        found.update(
            _band_pairs(
                left, right, (left >> np.uint64(shift)) & mask, (right >> np.uint64(shift)) & mask, distance
            )
        )
    return sorted(found)


def _band_pairs(
    left: np.ndarray, right: np.ndarray, left_band: np.ndarray, right_band: np.ndarray, distance: int
) -> list[tuple[int, int]]:
    order = np.argsort(right_band, kind="stable")
    first = np.searchsorted(right_band[order], left_band, "left")
    last = np.searchsorted(right_band[order], left_band, "right")
    pairs = []
    for i in np.nonzero(last > first)[0]:
        candidates = order[first[i] : last[i]]
        close = np.bitwise_count(left[i] ^ right[candidates]) <= distance
        pairs.extend((int(i), int(j)) for j in candidates[close])
    return pairs
