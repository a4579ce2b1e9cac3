"""Validation, the first half of an import: decode and hash every image, then drop duplicates between splits.

Results are written to a folder chunk by chunk, so that a killed import can be resumed. Packing is in
shard_writer.py.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets import codec
from datasets.alignment import measure
from datasets.duplicates import same_pictures
from datasets.errors import Rejected, UserError
from datasets.files import atomic_json, read_json, reading, usable_cpus
from datasets.manifest import IndexRow, LrRow, row_from_json
from datasets.pairs import PairSource, fits
from datasets.pixels import RGB8, PixelFormat, preview
from datasets.rejections import Rejection
from datasets.sources import ArchiveMember, Source
from datasets.splits import by_hash, fill

PRIORITY = ("test", "gate", "val", "train", "all")
"""A picture that is in two splits stays in the first of these and is dropped from the other."""

CHUNK = 500
SMALLEST_LR_PX = 12
"""LR images with a shorter side are too small to be measured."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SplitSource:
    """The members of a source that make up one split."""

    source: Source
    members: Sequence[ArchiveMember]
    at_least: int = 0
    """Images that the split should keep: photographs of train replace those that are left out below it."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Requirements for an image and its transform; part of an import's identity."""

    transform: str = "none"
    min_px: int = 0
    pixels: PixelFormat = RGB8
    max_shift_px: float = 0.0
    """Largest shift of a pair in LR pixels; 0 means no limit, and any two pictures make a pair."""

    def identity(self) -> dict[str, object]:
        """Return the settings that decide which images are accepted, and how they are transformed."""
        plain = {"transform": self.transform, "min_px": self.min_px}
        plain |= {} if self.pixels.is_rgb8 else {"pixels": str(self.pixels)}
        return plain | ({"max_shift_px": self.max_shift_px} if self.max_shift_px else {})


class LeftOut(Rejected):
    """The reason for leaving out an image that is not broken, such as a shifted pair."""


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
                    if isinstance(result, Rejected):
                        broken = not isinstance(result, LeftOut)
                        rejected.append(Rejection(split, member.name, str(result), broken))
                    else:
                        accepted[split].append((member, result))
                done += len(chunk)
                report("examined", done, total)
    return accepted, rejected


def _chunk(
    pool: ThreadPoolExecutor, source: Source, chunk: Sequence[ArchiveMember], wanted: Examination, note: Path
) -> list[IndexRow | Rejected]:
    with suppress(UserError), reading(note):  # a damaged note is as good as none
        noted = [_from_note(result) for result in read_json(note, list)]
        if len(noted) == len(chunk):
            return noted

    def one(member: ArchiveMember) -> IndexRow | Rejected:
        try:
            if isinstance(source, PairSource):
                return _pair(member, source, wanted)
            data = source.read(member)
            return _row(member, data, codec.decode(data, wanted.transform, wanted.pixels), wanted)
        except Rejected as error:
            return error

    results = list(pool.map(one, chunk))
    atomic_json(note, [_to_note(result) for result in results])
    return results


def _to_note(result: IndexRow | Rejected) -> str | dict:
    if isinstance(result, LeftOut):
        return {"left_out": str(result)}
    return str(result) if isinstance(result, Rejected) else dataclasses.asdict(result)


def _from_note(note: str | dict) -> IndexRow | Rejected:
    if isinstance(note, str):
        return Rejected(note)
    return LeftOut(note["left_out"]) if "left_out" in note else row_from_json(note)


def _row(member: ArchiveMember, data: bytes, pixels: np.ndarray, wanted: Examination) -> IndexRow:
    if min(pixels.shape[:2]) < wanted.min_px:
        raise Rejected(f"{_size(pixels)}, smaller than {wanted.min_px}")
    shown = preview(pixels, wanted.pixels)
    return IndexRow(
        key=member.key,
        source=member.photograph,
        dhash=f"{codec.difference_hash(shown):016x}",
        thumb=codec.thumbnail(shown).hex(),
        **_facts(data, pixels),
    )


def _facts(data: bytes, pixels: np.ndarray) -> dict[str, Any]:
    return {
        "ext": codec.extension(data),
        "n_bytes": len(data),
        "bytes_sha256": hashlib.sha256(data).hexdigest(),
        "pixel_sha256": codec.pixel_hash(pixels),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "mode": codec.mode(data),
    }


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} px"


def _pair(member: ArchiveMember, source: PairSource, wanted: Examination) -> IndexRow:
    data = source.read(member)
    pixels = codec.decode(data, pixels=wanted.pixels)
    try:
        lr_data = source.read_lr(member)
        lr_pixels = codec.decode(lr_data, pixels=wanted.pixels)
    except Rejected as error:
        raise Rejected(f"its LR image: {error}") from None
    row, scale = _row(member, data, pixels, wanted), source.scale
    if not fits(pixels.shape[:2], lr_pixels.shape[:2], scale):
        raise Rejected(f"{_size(pixels)} is not {scale} times its LR image of {_size(lr_pixels)}")
    height, width = (min(h // scale, low) for h, low in zip(pixels.shape, lr_pixels.shape[:2], strict=False))
    if min(height, width) < SMALLEST_LR_PX:
        raise Rejected(f"its LR image has {_size(lr_pixels)}, smaller than {SMALLEST_LR_PX}")
    measured = measure(pixels, lr_pixels[:height, :width], scale, wanted.pixels)
    if wanted.max_shift_px and not measured.is_same_picture:
        raise LeftOut(f"HR and LR do not show one picture (correlation {measured.correlation:.2f})")
    if wanted.max_shift_px and measured.shift > wanted.max_shift_px:
        raise LeftOut(
            f"shifted by {measured.shift:.2f} LR pixels ({measured.right:+.2f} to the right, "
            f"{measured.down:+.2f} down)"
        )
    lr_row = LrRow(**_facts(lr_data, lr_pixels), measured=measured.row())
    return dataclasses.replace(row, lr_image=lr_row)


def settle_duplicates(
    accepted: Accepted, parts: Mapping[str, SplitSource]
) -> tuple[Accepted, list[Rejection]]:
    """Drop duplicates, and move photographs from train to splits that lost too many images.

    A split is filled up to its `at_least`, but not above the size that was planned for it. Train gives its
    photographs in the order of their hashes, and none from its last half.
    """
    kept, rejected = _without_duplicates(accepted)
    least = {split: min(part.at_least, len(part.members)) for split, part in parts.items()}
    spare = len(kept.get("train", ())) // 2
    while missing := {s: n - len(kept[s]) for s, n in least.items() if s != "train" and n > len(kept[s])}:
        split, size = next(iter(missing.items()))
        per_photograph = Counter(member.photograph for member, _ in kept.get("train", ()))
        moved = set(fill(min(size, spare), by_hash(per_photograph), per_photograph))
        if not moved:
            del least[split]  # what train has to give is too large for it
            continue
        spare -= sum(per_photograph[p] for p in moved)
        pairs = kept["train"]
        kept[split] += [pair for pair in pairs if pair[0].photograph in moved]
        kept[split].sort(key=lambda pair: pair[0].key)
        kept["train"] = [pair for pair in pairs if pair[0].photograph not in moved]
        kept, more = _without_duplicates(kept)  # what was moved may be alike to what stays in train
        rejected += more
    return kept, rejected


def _without_duplicates(accepted: Accepted) -> tuple[Accepted, list[Rejection]]:
    """Drop copies of a picture, and near duplicates in two splits; the split of higher PRIORITY keeps it."""
    seen: dict[tuple[str, ...], str] = {}
    kept: Accepted = {}
    rejected = []
    for split in sorted(accepted, key=PRIORITY.index):
        rows = []
        near = _near_to_others([row for _, row in accepted[split]], kept)
        for i, (member, row) in enumerate(accepted[split]):
            # one photograph may stand in several pairs of a split, with other LR images
            pixels = tuple(image.pixel_sha256 for image in row.images)
            if pixels in seen:
                reason = f"the same pixels as {seen[pixels]}"
            elif i in near:
                reason = f"a near duplicate of {near[i]}"
            else:
                seen[pixels] = f"{split}/{row.key}"
                rows.append((member, row))
                continue
            rejected.append(Rejection(split, member.name, reason, False))
        kept[split] = rows
    return {split: kept[split] for split in accepted}, rejected


def _near_to_others(rows: list[IndexRow], kept: Accepted) -> dict[int, str]:
    others = [(f"{split}/{row.key}", row) for split, pairs in kept.items() for _, row in pairs]
    pairs = same_pictures(rows, [row for _, row in others])
    return {i: others[j][0] for i, j in reversed(pairs)}
