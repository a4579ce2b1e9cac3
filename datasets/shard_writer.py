"""Writing of WebDataset tar shards and their manifest. Reading is in shard_reader.py.

The original bytes are packed, sorted by key, with mtime 0, so that equal input gives equal shards. An import
that was killed can be resumed; the manifest is written last, so a folder with a manifest is complete.
"""

import dataclasses
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import webdataset

from datasets import codec
from datasets.alignment import COLUMNS, describe
from datasets.errors import Rejected, UserError
from datasets.files import atomic_json, atomic_write, locked, read_json
from datasets.folders import count_kinds
from datasets.manifest import (
    MANIFEST,
    IndexFile,
    IndexRow,
    Manifest,
    Shard,
    Split,
    parse_manifest,
    write_index,
)
from datasets.pairs import PairSource
from datasets.parsing import build
from datasets.pixels import RGB8, PixelFormat, named
from datasets.rejections import Rejection, check_rejected, write_csv
from datasets.sources import ArchiveMember, Source, passed_over
from datasets.validate import (
    Accepted,
    Examination,
    Progress,
    SplitSource,
    examine,
    settle_duplicates,
)

IMAGES_PER_SHARD = 2000
SHARD_BYTES = 128 << 20
CHECK = "every image decoded whole; SHA-256 of bytes and pixels recorded"
PROBED_IMAGES = 15
GREY = ("grey",)
GREY_MODES = ("L", "1", "LA", "1x8")
MARKER, NOTES = "import.json", ".notes"


@dataclass(frozen=True, kw_only=True)
class PackSettings(Examination):
    """Settings of an import."""

    max_rejected: float = 0.05
    bands: tuple[str, ...] = ()
    """Names of the bands; empty: as many as most images have."""
    peak: int = 0
    """The value of white; 0: the largest value of most images' depth."""
    images_per_shard: int = IMAGES_PER_SHARD
    workers: int = 0

    def identity(self) -> dict[str, object]:
        """Return the settings that affect the bytes of the shards."""
        asked = {"bands": self.bands, "peak": self.peak} if self.bands or self.peak else {}
        return super().identity() | {"images_per_shard": self.images_per_shard, **asked}


def pack(
    out: Path,
    name: str,
    parts: dict[str, SplitSource],
    settings: PackSettings,
    progress: Progress | None = None,
    *,
    temporary: bool = False,
) -> Manifest:
    """Import `parts` into the folder `out` and return its manifest; a finished import is not repeated.

    If several processes import into one folder, one does the work and the others wait for it. If `out` has
    another dataset, a `temporary` folder is emptied first, and any other is a UserError. UserError if more
    than `max_rejected` of the images are broken.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out.with_name(f".{out.name}.lock")):
        _claim(out, name, parts, settings, temporary)
        if not (out / MANIFEST).is_file():
            manifest = _import(out, name, parts, settings, progress or (lambda what, i, n: None))
            atomic_write(out / MANIFEST, manifest.to_json().encode())
        shutil.rmtree(out / NOTES, ignore_errors=True)
        return parse_manifest((out / MANIFEST).read_bytes(), str(out / MANIFEST))


def _claim(
    out: Path, name: str, parts: dict[str, SplitSource], settings: PackSettings, temporary: bool
) -> None:
    """Create `out` and mark it as belonging to this import; UserError if it belongs to another."""
    out.mkdir(exist_ok=True)
    for leftover in [*out.glob(".*.tmp"), *out.glob(f"{NOTES}/.*.tmp")]:
        leftover.unlink()  # the lock is held here, so the process that wrote it is dead
    plan = _plan(name, parts, settings)
    marker = out / MARKER
    if marker.is_file() and marker.read_bytes() == plan:
        return
    if temporary:
        shutil.rmtree(out)
        out.mkdir()
    elif any(out.iterdir()):
        raise UserError(f"{out} already has other files; choose another --out or empty it")
    atomic_write(marker, plan)


def _plan(name: str, parts: dict[str, SplitSource], settings: PackSettings) -> bytes:
    """Return the identity of an import as JSON: fingerprints of sources, members of each split, settings."""
    plan = hashlib.sha256()
    prints: dict[int, str] = {}
    for split, part in sorted(parts.items()):
        if id(part.source) not in prints:
            prints[id(part.source)] = part.source.fingerprint()
        plan.update(f"{split} {prints[id(part.source)]}\n".encode())
        for member in part.members:
            line = f"{member.key}\0{member.name}\0{member.photograph}\n"
            plan.update(line.encode("utf-8", "surrogateescape"))
    values = {"name": name, "plan": plan.hexdigest(), "settings": settings.identity()}
    return json.dumps(values, sort_keys=True).encode()


def _import(
    out: Path, name: str, parts: dict[str, SplitSource], settings: PackSettings, report: Progress
) -> Manifest:
    (out / NOTES).mkdir(exist_ok=True)
    settings = replace(settings, pixels=pixels_of(parts, settings))
    accepted, rejected = examine(parts, settings, out / NOTES, report, settings.workers)
    source = {
        "images_sha256": _content(accepted),
        "settings": json.dumps(settings.identity(), sort_keys=True),
    }
    accepted, doubles = settle_duplicates(accepted, parts)
    names = dict.fromkeys(name for part in parts.values() for name in passed_over(part.source))
    others_listed = [Rejection("", name, f"not read: {kind}", False) for name, kind in names]
    write_csv(out / "rejected.csv", ("split", "name", "reason"), [*rejected, *doubles, *others_listed])
    counts = {split: (len(part.members), len(accepted[split])) for split, part in parts.items()}
    check_rejected(out / "rejected.csv", rejected, len(doubles), counts, settings.max_rejected)
    others = {s: count_kinds(names) for s, part in parts.items() if (names := passed_over(part.source))}
    notes: dict[str, object] = {"passed_over": others} if others else {}
    rows = [row for split in accepted.values() for _, row in split]
    if grey := sum(row.mode in GREY_MODES for row in rows) * settings.pixels.is_rgb8:
        notes["converted"] = f"{grey} grey images, repeated over red, green and blue"
    scale = max((p.source.scale for p in parts.values() if isinstance(p.source, PairSource)), default=0)
    if scale:
        notes["pairs"] = _write_measured(out, accepted, settings, rejected)
    splits = {
        split: _write_split(out, split, parts[split].source, rows, settings, report)
        for split, rows in accepted.items()
    }
    return Manifest(
        name=name,
        source=source,
        transform=settings.transform,
        decoder=codec.decoder(settings.pixels),
        check=CHECK,
        splits=splits,
        rejected=len(rejected + doubles),
        bands=list(settings.pixels.bands),
        peak=settings.pixels.peak,
        pairs_scale=scale,
        notes=notes,
    )


def pixels_of(parts: dict[str, SplitSource], settings: PackSettings) -> PixelFormat:
    """Return the pixels of a set: of most of a few images, with the names and the peak of `settings`.

    UserError if the names do not fit the images.
    """
    members = [(part.source, member) for part in parts.values() for member in part.members]
    votes: Counter[PixelFormat] = Counter()
    for source, member in members[:: max(1, len(members) // PROBED_IMAGES)]:
        try:
            votes[codec.format_of(source.read(member))] += 1
        except Rejected:
            continue  # validation rejects it by its name
    found = votes.most_common(1)[0][0] if votes else RGB8
    if settings.bands == GREY and found.is_rgb8:
        found = named(1, 255)
    if settings.bands and len(settings.bands) != found.channels:
        raise UserError(
            f"--bands has {len(settings.bands)} names, but the images have {found.channels} bands"
        )
    if settings.peak and not found.peak // 256 < settings.peak <= found.peak:
        raise UserError(f"--peak must be at most {found.peak} for these images, but got {settings.peak}")
    return PixelFormat(settings.bands or found.bands, settings.peak or found.peak)


def _write_measured(out: Path, accepted: Accepted, settings: PackSettings, rejected: list[Rejection]) -> str:
    """Write pairs.csv, the measured alignment of every pair that was accepted; return a summary."""
    pairs = [(split, row) for split, rows in accepted.items() for _, row in rows]
    rows = [(split, row.key, *row.lr_image.measured) for split, row in pairs if row.lr_image]
    write_csv(out / "pairs.csv", ("split", "key", *COLUMNS), rows)
    off = sum(not r.broken for r in rejected)
    limit = f"{off} off by more than {settings.max_shift_px:g} px" if settings.max_shift_px else "shifts kept"
    return f"{len(rows) + off} pairs, {limit}; {describe([row[2:] for row in rows])}"


def _content(accepted: Accepted) -> str:
    """Return one hash over all accepted images, independent of the paths of their files."""
    content = hashlib.sha256()
    for split, rows in sorted(accepted.items()):
        for _, row in rows:
            hashes = " ".join(image.bytes_sha256 for image in row.images)
            content.update(f"{split}/{row.key} {hashes}\n".encode())
    return content.hexdigest()


def _write_split(
    out: Path,
    split: str,
    source: Source,
    rows: list[tuple[ArchiveMember, IndexRow]],
    settings: PackSettings,
    report: Progress,
) -> Split:
    shards: list[Shard] = []
    done = 0
    for chunk in _chunks(rows, settings.images_per_shard):
        shards.append(_shard_once(out / f"{split}-{len(shards):05d}.tar", source, chunk))
        done += len(chunk)
        report(f"packed {split}", done, len(rows))
    index = write_index([row for _, row in rows])
    atomic_write(out / f"index-{split}.csv", index)
    file = IndexFile(f"index-{split}.csv", hashlib.sha256(index).hexdigest(), len(index))
    return Split(len(rows), file, shards)


def _chunks(
    rows: list[tuple[ArchiveMember, IndexRow]], images: int
) -> Iterable[list[tuple[ArchiveMember, IndexRow]]]:
    """Yield runs of at most `images` rows and SHARD_BYTES bytes, since a shard is built in memory."""
    chunk: list[tuple[ArchiveMember, IndexRow]] = []
    weight = 0
    for pair in rows:
        if chunk and (len(chunk) == images or weight + pair[1].packed_bytes > SHARD_BYTES):
            yield chunk
            chunk, weight = [], 0
        chunk.append(pair)
        weight += pair[1].packed_bytes
    if chunk:
        yield chunk


def _shard_once(path: Path, source: Source, chunk: list[tuple[ArchiveMember, IndexRow]]) -> Shard:
    """Write a shard, or return the one that a killed import wrote and noted."""
    note = path.parent / NOTES / f"{path.name}.json"
    with suppress(UserError):  # a damaged note is as good as none
        if note.is_file() and path.is_file():
            shard = build(Shard, read_json(note), str(note))
            if path.stat().st_size == shard.bytes:
                return shard
    shard = _write_shard(path, source, chunk)
    atomic_json(note, dataclasses.asdict(shard))
    return shard


def _write_shard(path: Path, source: Source, chunk: list[tuple[ArchiveMember, IndexRow]]) -> Shard:
    buffer = io.BytesIO()
    with webdataset.TarWriter(buffer, encoder=False, mtime=0) as writer:
        for member, row in chunk:
            files = {row.ext: (source.read(member), row.bytes_sha256)}
            if isinstance(source, PairSource) and row.lr_image:
                files = {f"hr.{row.ext}": files[row.ext]}
                files[f"lr.{row.lr_image.ext}"] = (source.read_lr(member), row.lr_image.bytes_sha256)
            if any(hashlib.sha256(data).hexdigest() != sha256 for data, sha256 in files.values()):
                raise UserError(f"{member.name} changed during the import; start the import again")
            writer.write({"__key__": row.key} | {name: data for name, (data, _) in files.items()})
    tar = buffer.getvalue()
    atomic_write(path, tar)
    first, last = chunk[0][1].key, chunk[-1][1].key
    return Shard(path.name, hashlib.sha256(tar).hexdigest(), len(tar), len(chunk), first, last)
