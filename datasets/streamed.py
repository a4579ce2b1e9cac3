"""Training samples straight from the shards, for sets too large to keep decoded: order, buffer, resume.

The order is order.stream_order, so a position is reached by counting: whole shards before it are not
opened. Decoding and cropping are in loader.py.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from datasets.images import ImageSet
from datasets.order import shard_order, stream_order
from datasets.stream import samples

SHARDS_TOGETHER = 4
BUFFER_IMAGES = 2048
BUFFER_BYTES = 256 << 20


@dataclass(frozen=True)
class Sample:
    """One image as bytes, and where in the run it stands."""

    epoch: int
    index: int
    data: bytes


def buffer_size(images: ImageSet) -> int:
    """Images in the shuffle buffer: fewer where they are large; the manifest alone decides."""
    mean = sum(row.n_bytes for row in images.rows) / len(images.rows)
    return max(16, min(BUFFER_IMAGES, int(BUFFER_BYTES / mean)))


def stream(images: ImageSet, seed: int, position: int) -> Iterator[Sample]:
    """Samples number `position`, `position` + 1, ... of a run, endlessly; epochs follow without a gap."""
    n = len(images)
    for epoch in count(position // n):
        start = position % n if epoch == position // n else 0
        yield from _epoch(images, seed, epoch, start)


def _epoch(images: ImageSet, seed: int, epoch: int, start: int) -> Iterator[Sample]:
    counts = [shard.count for shard in images.manifest.splits[images.split].shards]
    buffer = buffer_size(images)
    read, given = stream_order(counts, seed, epoch, SHARDS_TOGETHER, buffer)
    first = start // buffer * buffer
    source = _read(images, seed, epoch, read, first)
    past = set(given[first:start].tolist())
    held: dict[int, bytes] = {}
    pulled = first
    for place in range(start, len(given)):
        # One image in for each image out, at most `buffer` ahead: reading is spread evenly over the steps.
        for index, data in islice(source, min(len(given), place + buffer) - pulled):
            pulled += 1
            if index not in past:
                held[index] = data
        index = int(given[place])
        yield Sample(epoch, index, held.pop(index))


def _read(
    images: ImageSet, seed: int, epoch: int, read: np.ndarray, first: int
) -> Iterator[tuple[int, bytes]]:
    """(index, bytes) of read[first:], opening the shards group by group and no group that lies before."""
    shards = images.manifest.splits[images.split].shards
    queue = deque(shard_order(len(shards), seed, epoch).tolist())
    place = 0
    while queue:
        group = [shards[queue.popleft()] for _ in range(min(SHARDS_TOGETHER, len(queue)))]
        size = sum(shard.count for shard in group)
        if place + size > first:
            lanes = [samples(images.location, [shard]) for shard in group]
            taken = islice(_in_turn(lanes), max(0, first - place), None)
            for index, (key, data) in zip(read[max(first, place) :], taken, strict=False):
                images.expect(int(index), key)
                yield int(index), data
        place += size


def _in_turn(lanes: list[Iterator[tuple[str, bytes]]]) -> Iterator[tuple[str, bytes]]:
    """One item of each lane in turn, until all are empty."""
    while lanes:
        left = []
        for lane in lanes:
            for item in islice(lane, 1):
                yield item
                left.append(lane)
        lanes = left
