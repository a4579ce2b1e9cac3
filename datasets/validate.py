"""Validation, the first half of an import: decode and hash every image, then drop duplicates between splits.

Results are written to a folder chunk by chunk, so that a killed import can be resumed. Packing is in
shard_writer.py.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datasets import codec
from datasets.codec import Rejected
from datasets.duplicates import same_pictures
from datasets.files import atomic_json, usable_cpus
from datasets.manifest import IndexRow
from datasets.sources import ArchiveMember, Source

PRIORITY = ("test", "gate", "val", "train", "all")
"""A picture that is in two splits stays in the first of these and is dropped from the other."""

CHUNK = 500
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SplitSource:
    """The members of a source that make up one split."""

    source: Source
    members: Sequence[ArchiveMember]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Requirements for an image and its transform; part of an import's identity."""

    transform: str = "none"
    min_px: int = 0


@dataclass(frozen=True)
class Rejection:
    """One line of rejected.csv; `broken` is False for duplicates, which do not count as broken images."""

    split: str
    name: str
    reason: str
    broken: bool


Accepted = dict[str, list[tuple[ArchiveMember, IndexRow]]]


def examine(
    parts: dict[str, SplitSource], wanted: Examination, notes: Path, report: Progress, workers: int = 0
) -> tuple[Accepted, list[Rejection]]:
    """Decode and hash all images of `parts`: rows of the index, and rejections.

    Results are stored in the folder `notes` and read from there when an import is resumed.
    """
    total = sum(len(part.members) for part in parts.values())
    accepted: Accepted = {}
    rejected: list[Rejection] = []
    done = 0
    with ThreadPoolExecutor(workers or usable_cpus()) as pool:
        for split, part in parts.items():
            accepted[split] = []
            members = sorted(part.members, key=lambda m: m.key)
            for start in range(0, len(members), CHUNK):
                chunk = members[start : start + CHUNK]
                results = _chunk(pool, part.source, chunk, wanted, notes / f"{split}-{start:08d}.json")
                for member, result in zip(chunk, results, strict=True):
                    if isinstance(result, str):
                        rejected.append(Rejection(split, member.name, result, True))
                    else:
                        accepted[split].append((member, result))
                done += len(chunk)
                report("examined", done, total)
    return accepted, rejected


def _chunk(
    pool: ThreadPoolExecutor, source: Source, chunk: Sequence[ArchiveMember], wanted: Examination, note: Path
) -> list[IndexRow | str]:
    if note.is_file():
        return [r if isinstance(r, str) else IndexRow(**r) for r in json.loads(note.read_text())]

    def one(member: ArchiveMember) -> IndexRow | str:
        try:
            return _row(member, source.read(member), wanted)
        except Rejected as error:
            return str(error)

    results = list(pool.map(one, chunk))
    plain = [r if isinstance(r, str) else dataclasses.asdict(r) for r in results]
    atomic_json(note, plain)
    return results


def _row(member: ArchiveMember, data: bytes, wanted: Examination) -> IndexRow:
    pixels = codec.decode(data, wanted.transform)
    height, width = pixels.shape[:2]
    if min(height, width) < wanted.min_px:
        raise Rejected(f"{width}x{height} px, smaller than {wanted.min_px}")
    return IndexRow(
        key=member.key,
        source=member.photograph,
        ext=codec.extension(data),
        n_bytes=len(data),
        bytes_sha256=hashlib.sha256(data).hexdigest(),
        pixel_sha256=codec.pixel_hash(pixels),
        dhash=f"{codec.difference_hash(pixels):016x}",
        thumb=codec.thumbnail(pixels).hex(),
        width=width,
        height=height,
        mode=codec.mode(data),
    )


def settle_duplicates(accepted: Accepted) -> tuple[Accepted, list[Rejection]]:
    """Drop copies of a picture, and near duplicates in two splits; the split of higher PRIORITY keeps it."""
    seen: dict[str, str] = {}
    kept: Accepted = {}
    rejected = []
    for split in sorted(accepted, key=PRIORITY.index):
        rows = []
        near = _near_to_others([row for _, row in accepted[split]], kept)
        for i, (member, row) in enumerate(accepted[split]):
            if row.pixel_sha256 in seen:
                reason = f"the same pixels as {seen[row.pixel_sha256]}"
            elif i in near:
                reason = f"a near duplicate of {near[i]}"
            else:
                seen[row.pixel_sha256] = f"{split}/{row.key}"
                rows.append((member, row))
                continue
            rejected.append(Rejection(split, member.name, reason, False))
        kept[split] = rows
    return {split: kept[split] for split in accepted}, rejected


def _near_to_others(rows: list[IndexRow], kept: Accepted) -> dict[int, str]:
    others = [(f"{split}/{row.key}", row) for split, pairs in kept.items() for _, row in pairs]
    pairs = same_pictures(rows, [row for _, row in others])
    return {i: others[j][0] for i, j in reversed(pairs)}
