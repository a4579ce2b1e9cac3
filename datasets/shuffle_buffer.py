"""Streamed training samples through a shuffle buffer, for sets too large to keep decoded.

The order is sampling.stream_order, so a run resumes at any position by counting, without opening the shards
before it. Decoding and cropping are in loader.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from datasets.image_set import ImageSet
from datasets.sampling import shard_order, stream_order
from datasets.shard_reader import Files, prefetch, samples

SHARDS_TOGETHER = 4
BUFFER_IMAGES = 2048
BUFFER_BYTES = 256 << 20


@dataclass(frozen=True)
class Sample:
    """One image, or the two of a pair, as bytes, with its epoch and its index in the image set."""

    epoch: int
    index: int
    files: Files


def buffer_size(images: ImageSet) -> int:
    """Return the number of images in the shuffle buffer: BUFFER_IMAGES, or fewer if images are large.

    So many are used that their encoded bytes, by the mean in the index, take at most BUFFER_BYTES; but at
    least 16. No shard is opened for it, so every rank knows the number at once.
    """
    mean = sum(row.packed_bytes for row in images.rows) / len(images.rows)
    return max(16, min(BUFFER_IMAGES, int(BUFFER_BYTES / mean)))


def stream(images: ImageSet, seed: int, position: int) -> Iterator[Sample]:
    """Yield the samples of a run from number `position` on, epoch after epoch without end."""
    n = len(images)
    for epoch in count(position // n):
        start = position % n if epoch == position // n else 0
        yield from _epoch(images, seed, epoch, start)


def _epoch(images: ImageSet, seed: int, epoch: int, start: int) -> Iterator[Sample]:
    counts = [shard.count for shard in images.manifest.splits[images.split].shards]
    buffer = buffer_size(images)
    read_order, use_order = stream_order(counts, seed, epoch, SHARDS_TOGETHER, buffer)
    first = start // buffer * buffer
    source = _read(images, seed, epoch, read_order, first)
    past = set(use_order[first:start].tolist())
    waiting: dict[int, Files] = {}
    pulled = first
    for slot in range(start, len(use_order)):
        # One image is read for each image yielded, at most `buffer` ahead, to spread reading over the steps.
        for index, files in islice(source, min(len(use_order), slot + buffer) - pulled):
            pulled += 1
            if index not in past:
                waiting[index] = files
        index = int(use_order[slot])
        yield Sample(epoch, index, waiting.pop(index))


def _read(
    images: ImageSet, seed: int, epoch: int, read_order: np.ndarray, first: int
) -> Iterator[tuple[int, Files]]:
    """Yield (index, bytes) of read_order[first:]; groups of shards before `first` are not opened."""
    shards = images.manifest.splits[images.split].shards
    order = [shards[i] for i in shard_order(len(shards), seed, epoch)]
    groups = [order[i : i + SHARDS_TOGETHER] for i in range(0, len(order), SHARDS_TOGETHER)]
    ends = np.cumsum([sum(shard.count for shard in group) for group in groups])
    ahead = ThreadPoolExecutor(1)
    try:
        for i in range(int(np.searchsorted(ends, first, "right")), len(groups)):
            # This group is needed now; the next group is fetched while this one is used.
            prefetch(images.location, groups[i])
            ahead.submit(prefetch, images.location, groups[i + 1] if i + 1 < len(groups) else [])
            start = int(ends[i - 1]) if i else 0
            shard_readers = [samples(images.location, [shard]) for shard in groups[i]]
            taken = islice(_round_robin(shard_readers), max(0, first - start), None)
            for index, (key, files) in zip(read_order[max(first, start) : ends[i]], taken, strict=True):
                images.check_key(int(index), key)
                yield int(index), files
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _round_robin(readers: list[Iterator[tuple[str, Files]]]) -> Iterator[tuple[str, Files]]:
    """Yield one sample of each reader in turn, until all readers are exhausted."""
    while readers:
        left = []
        for reader in readers:
            for sample in islice(reader, 1):
                yield sample
                left.append(reader)
        readers = left
