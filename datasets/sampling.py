"""The order of images, crops and flips as pure functions of (seed, epoch, index).

A position counts samples from the start of the run, across epochs: position p of n images is slot p % n of
epoch p // n. A run resumes at any position by arithmetic, and ranks agree because they slice one order.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STREAMS = {"top": 1, "left": 2, "flip": 3, "turn": 4}


@lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of n images in `epoch`, int64 (n,), independent of other seeds and epochs."""
    order = _generator(seed, epoch, n, 0).permutation(n)
    order.setflags(write=False)
    return order


def batch_indices(n: int, seed: int, step: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (image index, epoch) of the samples of batch number `step`, int64 (batch,) each."""
    positions = np.arange(step * batch, (step + 1) * batch)
    epochs, slots = positions // n, positions % n
    indices = np.empty(batch, dtype=np.int64)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        indices[inside] = permutation(n, seed, int(epoch))[slots[inside]]
    return indices, epochs


def stream_order(
    counts: Sequence[int], seed: int, epoch: int, together: int, buffer: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (read_order, use_order), int64 (n,): images in the order in which they are read, and are used.

    Shards are permuted and read in groups of `together`, round robin; after that, each run of `buffer` images
    is permuted. This shuffle buffer depends on the counts alone, so a run can resume at any position.
    """
    firsts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    runs = []
    shards = shard_order(len(counts), seed, epoch)
    for start in range(0, len(shards), together):
        group = shards[start : start + together]
        slots = np.concatenate([np.arange(counts[s]) for s in group])
        turns = np.repeat(np.arange(len(group)), [counts[s] for s in group])  # order within a round
        rows = np.concatenate([firsts[s] + np.arange(counts[s]) for s in group])
        runs.append(rows[np.lexsort((turns, slots))])
    read_order = np.concatenate(runs)
    chance = _generator(seed, epoch, len(read_order), 2).random(len(read_order))
    return read_order, read_order[np.lexsort((chance, np.arange(len(read_order)) // buffer))]


def shard_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of n shards in `epoch`, int64 (n,)."""
    return _generator(seed, epoch, n, 1).permutation(n)


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _mix(x: np.ndarray) -> np.ndarray:
    """Mix 64 bits by splitmix64's finaliser (Steele et al., 2014), so that close numbers become unrelated."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw(what: str, seed: int, epochs: Sequence[int] | np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return uint64 (batch,): random bits for `what` (a name of _STREAMS) at each (seed, epoch, index)."""
    state = np.full(len(indices), np.uint64(seed % (1 << 64)))
    for word in (np.asarray(epochs), np.asarray(indices), np.full(len(indices), _STREAMS[what])):
        state = _mix(state * _GOLDEN + word.astype(np.uint64) + np.uint64(1))
    return state


def crop_positions(
    seed: int, epochs: np.ndarray, indices: np.ndarray, sizes: np.ndarray, crop_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (top, left) of each crop, int64 (batch,); `sizes` (batch, 2) are height and width of its image.

    Positions are uniform over all that keep the crop inside the image.
    """
    room = (sizes - crop_px + 1).astype(np.uint64)
    top = draw("top", seed, epochs, indices) % room[:, 0]
    left = draw("left", seed, epochs, indices) % room[:, 1]
    return top.astype(np.int64), left.astype(np.int64)


def flips(seed: int, epochs: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return True for each crop to mirror, bool (batch,), half of them on average."""
    return draw("flip", seed, epochs, indices) >> np.uint64(63) == 1


def turns(seed: int, epochs: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the number of quarter turns of each crop, 0 to 3, int64 (batch,)."""
    return (draw("turn", seed, epochs, indices) >> np.uint64(62)).astype(np.int64)


EVAL_SEED = 0
"""Seed of evaluation crops; it is not the run's seed, so that all runs are evaluated on equal pixels."""


def eval_position(key: str, room_down: int, room_right: int, where: str) -> tuple[int, int]:
    """Return (top, left) of the crop to evaluate in image `key`, at most (room_down, room_right).

    `where` is "centre", or "key": uniform over all positions, derived from the key alone.
    """
    if where == "centre":
        return room_down // 2, room_right // 2
    digest = hashlib.sha256(f"{EVAL_SEED}/{key}".encode()).digest()
    down, right = (int.from_bytes(part, "big") for part in (digest[:8], digest[8:16]))
    return down % (room_down + 1), right % (room_right + 1)
