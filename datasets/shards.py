"""Images -> WebDataset tar shards and their manifest: examine, decide, write. Reading is in stream.py.

First every image is decoded and hashed, then duplicates are settled between the splits, then the original
bytes are packed, sorted by key, with mtime 0: the same input gives the same bytes. The manifest is written
last, so a folder that has one is whole.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import webdataset

from datasets import codec
from datasets.codec import Rejected
from datasets.duplicates import same_pictures
from datasets.errors import UserError
from datasets.files import atomic_write, usable_cpus
from datasets.importers import Member, Source
from datasets.manifest import MANIFEST, IndexFile, Manifest, Row, Shard, Split, parse_manifest, write_index

PRIORITY = ("test", "gate", "val", "train", "all")
"""A picture found in two splits stays in the first of these and leaves the other."""

IMAGES_PER_SHARD = 2000
SHARD_BYTES = 128 << 20
CHECK = "every image decoded whole; SHA-256 of bytes and pixels recorded"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Part:
    """One split to be: some members of a source."""

    source: Source
    members: Sequence[Member]


@dataclass(frozen=True, kw_only=True)
class PackSettings:
    """How an import is done; every field but `workers` is part of the result's identity."""

    transform: str = "none"
    min_px: int = 0
    max_rejected: float = 0.05
    images_per_shard: int = IMAGES_PER_SHARD
    keep_duplicates: bool = False
    workers: int = 0

    def identity(self) -> str:
        shown = {k: v for k, v in vars(self).items() if k not in ("workers", "max_rejected")}
        return json.dumps(shown, sort_keys=True)


@dataclass(frozen=True)
class Rejection:
    """One line of rejected.csv; `broken` ones count against the threshold, duplicates do not."""

    split: str
    name: str
    reason: str
    broken: bool


def pack(
    out: Path, name: str, parts: dict[str, Part], settings: PackSettings, progress: Progress | None = None
) -> Manifest:
    """Import `parts` into the folder `out` and return its manifest; an import that is done already is kept.

    UserError where `out` holds another dataset, or where more than `max_rejected` of the images are broken.
    """
    source = _source_id(name, parts, settings)
    done = _already_there(out, source)
    if done:
        return done
    report = progress or (lambda what, i, n: None)
    accepted, rejected = _examine(parts, settings, report)
    if not settings.keep_duplicates:
        accepted, doubles = _settle_duplicates(accepted)
        rejected += doubles
    _write_rejected(out, rejected)
    _check_threshold(out, parts, rejected, settings)
    splits = {}
    for split, rows in accepted.items():
        splits[split] = _write_split(out, split, parts[split].source, rows, settings, report)
    manifest = Manifest(
        name=name,
        source=source,
        transform=settings.transform,
        decoder=codec.DECODER,
        check=CHECK,
        splits=splits,
        rejected=len(rejected),
    )
    atomic_write(out / MANIFEST, manifest.to_json().encode())
    return manifest


def _source_id(name: str, parts: dict[str, Part], settings: PackSettings) -> dict[str, str]:
    """What went in: the sources' contents, who goes where, and the settings."""
    plan = hashlib.sha256()
    prints: dict[int, str] = {}
    for split, part in sorted(parts.items()):
        prints.setdefault(id(part.source), part.source.fingerprint())
        plan.update(f"{split} {prints[id(part.source)]}\n".encode())
        for member in part.members:
            plan.update(f"{member.key}\0{member.name}\n".encode("utf-8", "surrogateescape"))
    return {"name": name, "plan_sha256": plan.hexdigest(), "settings": settings.identity()}


def _already_there(out: Path, source: dict[str, str]) -> Manifest | None:
    marker = out / "import.json"
    text = json.dumps(source, sort_keys=True).encode()
    if out.is_dir() and any(out.iterdir()) and (not marker.is_file() or marker.read_bytes() != text):
        raise UserError(f"{out} already holds something else; choose another --out or empty it")
    if (out / MANIFEST).is_file():
        return parse_manifest((out / MANIFEST).read_bytes(), str(out / MANIFEST))
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(marker, text)
    return None


Accepted = dict[str, list[tuple[Member, Row]]]


def _examine(
    parts: dict[str, Part], settings: PackSettings, report: Progress
) -> tuple[Accepted, list[Rejection]]:
    total = sum(len(part.members) for part in parts.values())
    accepted: Accepted = {}
    rejected: list[Rejection] = []
    done = 0
    with ThreadPoolExecutor(settings.workers or usable_cpus()) as pool:
        for split, part in parts.items():
            rows: list[tuple[Member, Row]] = []
            members = sorted(part.members, key=lambda m: m.key)
            examine = _examiner(part.source, settings)
            for member, result in zip(members, _bounded_map(pool, examine, members), strict=True):
                if isinstance(result, str):
                    rejected.append(Rejection(split, member.name, result, True))
                else:
                    rows.append((member, result))
                done += 1
                report("examined", done, total)
            accepted[split] = rows
    return accepted, rejected


def _bounded_map(pool: ThreadPoolExecutor, function: Callable, items: Sequence, ahead: int = 256) -> Iterable:
    """pool.map with a bounded number of results in memory."""
    for start in range(0, len(items), ahead):
        yield from pool.map(function, items[start : start + ahead])


def _examiner(source: Source, settings: PackSettings) -> Callable[[Member], Row | str]:
    def examine(member: Member) -> Row | str:
        try:
            return _row(member, source.read(member), settings)
        except Rejected as error:
            return str(error)

    return examine


def _row(member: Member, data: bytes, settings: PackSettings) -> Row:
    pixels = codec.decode(data, settings.transform)
    height, width = pixels.shape[:2]
    if min(height, width) < settings.min_px:
        raise Rejected(f"{width}x{height} px, smaller than {settings.min_px}")
    return Row(
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


def _settle_duplicates(accepted: Accepted) -> tuple[Accepted, list[Rejection]]:
    """Each picture once, near-duplicates on one side only: the split of higher priority keeps them."""
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


def _near_to_others(rows: list[Row], kept: Accepted) -> dict[int, str]:
    others = [(f"{split}/{row.key}", row) for split, pairs in kept.items() for _, row in pairs]
    pairs = same_pictures(rows, [row for _, row in others])
    return {i: others[j][0] for i, j in reversed(pairs)}


def _check_threshold(
    out: Path, parts: dict[str, Part], rejected: list[Rejection], settings: PackSettings
) -> None:
    broken = [r for r in rejected if r.broken]
    total = sum(len(part.members) for part in parts.values())
    if len(broken) == total or len(broken) > settings.max_rejected * total:
        raise UserError(
            f"{len(broken)} of {total} images were rejected (for instance {broken[0].name}: "
            f"{broken[0].reason}); see {out / 'rejected.csv'}, or raise --max-rejected"
        )


def _write_rejected(out: Path, rejected: list[Rejection]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["split", "name", "reason"])
    writer.writerows((r.split, r.name, r.reason) for r in rejected)
    atomic_write(out / "rejected.csv", buffer.getvalue().encode("utf-8", "backslashreplace"))


def _write_split(
    out: Path,
    split: str,
    source: Source,
    rows: list[tuple[Member, Row]],
    settings: PackSettings,
    report: Progress,
) -> Split:
    shards: list[Shard] = []
    done = 0
    for chunk in _chunks(rows, settings.images_per_shard):
        shards.append(_write_shard(out / f"{split}-{len(shards):05d}.tar", source, chunk))
        done += len(chunk)
        report(f"packed {split}", done, len(rows))
    index = write_index([row for _, row in rows])
    atomic_write(out / f"index-{split}.csv", index)
    file = IndexFile(f"index-{split}.csv", hashlib.sha256(index).hexdigest(), len(index))
    return Split(len(rows), file, shards)


def _chunks(rows: list[tuple[Member, Row]], images: int) -> Iterable[list[tuple[Member, Row]]]:
    """Runs of at most `images` rows and SHARD_BYTES bytes, in order; a shard is built in memory."""
    chunk: list[tuple[Member, Row]] = []
    weight = 0
    for pair in rows:
        if chunk and (len(chunk) == images or weight + pair[1].n_bytes > SHARD_BYTES):
            yield chunk
            chunk, weight = [], 0
        chunk.append(pair)
        weight += pair[1].n_bytes
    if chunk:
        yield chunk


def _write_shard(path: Path, source: Source, chunk: list[tuple[Member, Row]]) -> Shard:
    buffer = io.BytesIO()
    # mode, owner and time are fixed: equal images give equal tars.
    with webdataset.TarWriter(buffer, encoder=False, mtime=0) as writer:
        for member, row in chunk:
            data = source.read(member)
            if hashlib.sha256(data).hexdigest() != row.bytes_sha256:
                raise UserError(f"{member.name} changed while it was imported; start the import again")
            writer.write({"__key__": row.key, row.ext: data})
    tar = buffer.getvalue()
    atomic_write(path, tar)
    first, last = chunk[0][1].key, chunk[-1][1].key
    return Shard(path.name, hashlib.sha256(tar).hexdigest(), len(tar), len(chunk), first, last)
