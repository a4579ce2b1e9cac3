"""Reading and writing of manifest.json and index-<split>.csv, the table of contents of a shard folder.

The manifest lists every file with size and SHA-256, so that readers notice a missing, truncated or exchanged
file. The index has one row per image with the hash of its pixels, so that a wrong image is noticed too.
"""

import csv
import dataclasses
import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

from datasets.errors import UserError, unknown
from datasets.parsing import build
from datasets.pixels import RGB, PixelFormat

SCHEMA = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 << 20
MAX_FILE_BYTES = 8 << 30
"""Largest shard or index: one is 128 MiB, of images of at most 64 MiB each."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """One image file of a shard; width and height are after the transform."""

    ext: str
    n_bytes: int
    bytes_sha256: str
    pixel_sha256: str
    width: int
    height: int
    mode: str


@dataclass(frozen=True, kw_only=True)
class LrRow(EncodedImage):
    """The LR image of a pair; `measured` (see alignment.Alignment.row) is not part of the index."""

    measured: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True)
class IndexRow(EncodedImage):
    """One sample: a photograph, or the HR image of a pair; `source` is the photograph it was cut from."""

    key: str
    source: str
    dhash: str
    thumb: str
    lr_image: LrRow | None = None
    """The LR image of a pair; None if the set holds photographs alone."""

    @property
    def images(self) -> tuple[EncodedImage, ...]:
        """The images of the sample, in the order of its files: a photograph alone, or HR and LR of a pair."""
        return (self, self.lr_image) if self.lr_image else (self,)

    @property
    def packed_bytes(self) -> int:
        """Encoded bytes of the sample in its shard."""
        return sum(image.n_bytes for image in self.images)


_COLUMNS = "key source ext n_bytes bytes_sha256 pixel_sha256 dhash thumb width height mode".split()
_LR_COLUMNS = [f.name for f in dataclasses.fields(EncodedImage)]
_NUMBERS = ("n_bytes", "width", "height")


@dataclass(frozen=True)
class Shard:
    """One tar file of images, sorted by key from `first_key` to `last_key`."""

    file: str
    sha256: str
    bytes: int
    count: int
    first_key: str
    last_key: str


@dataclass(frozen=True)
class IndexFile:
    """The index file of one split."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Split:
    """The images of one role, in the order of their shards."""

    count: int
    index: IndexFile
    shards: list[Shard]


@dataclass(frozen=True)
class Manifest:
    """A shard folder's table of contents."""

    name: str
    source: dict[str, str]
    transform: str
    decoder: str
    check: str
    splits: dict[str, Split]
    rejected: int = 0
    bands: list[str] = field(default_factory=lambda: list(RGB))
    """Names of the bands; left out of the JSON, with `peak`, if the images are 8-bit RGB."""
    peak: int = 255
    """The value of white."""
    pairs_scale: int = 0
    """Scale of the LR images of pairs; 0 if the set holds photographs alone. Left out of the JSON if 0."""
    notes: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the text of manifest.json; keys are sorted, so that equal contents have equal bytes."""
        values = dataclasses.asdict(self)
        if not self.pairs_scale:
            del values["pairs_scale"]
        if self.pixels.is_rgb8:
            del values["bands"], values["peak"]
        return json.dumps(values, indent=1, sort_keys=True) + "\n"

    @property
    def pixels(self) -> PixelFormat:
        """Bands and range of the images."""
        return PixelFormat(tuple(self.bands), self.peak)

    def split_for(self, role: str) -> str:
        """Return the split for `role`: its own, or `all` if the set was not cut; UserError if it has none."""
        if role in self.splits:
            return role
        if "all" in self.splits:
            return "all"
        raise unknown(f"split of {self.name} called", role, self.splits, f"data.{role}")

    def digest(self, role: str) -> str:
        """Return 16 hex digits that identify the images of `role`, their keys and how they are decoded.

        The set's name and notes do not change it. UserError if there is no split for the role.
        """
        split = self.splits[self.split_for(role)]
        parts = [self.schema, self.transform, self.decoder, role, split.index.sha256]
        parts += [shard.sha256 for shard in split.shards]
        parts += [] if self.pixels.is_rgb8 else [str(self.pixels)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Parse manifest.json; UserError if it is damaged or has another schema. `where` is for messages."""
    try:
        values = json.loads(text)
        if values["schema"] != SCHEMA:
            raise UserError(
                f"{where} has schema {values['schema']!r}, this version reads {SCHEMA}; import it again"
            )
        splits = {name: _split(split) for name, split in values.pop("splits").items()}
        manifest = build(Manifest, values | {"splits": splits}, where)
        assert manifest.pixels  # refuses bands and peaks that cannot be
        return manifest
    except UserError:
        raise
    except Exception as error:  # any other JSON may be in the file
        raise UserError(f"{where} is not a manifest of shards ({type(error).__name__}: {error})") from None


def _split(values: dict[str, Any]) -> Split:
    shards = [build(Shard, shard, "a shard") for shard in values["shards"]]
    index = build(IndexFile, values["index"], "an index")
    for file in (index, *shards):
        if not _NAME.fullmatch(file.file):
            raise ValueError(f"a file outside the folder: {file.file!r}")
        if not _SHA256.fullmatch(file.sha256):  # it names the file in a cache
            raise ValueError(f"no SHA-256: {file.sha256!r}")
        if not 0 <= file.bytes <= MAX_FILE_BYTES:
            raise ValueError(f"{file.file!r} of {file.bytes} bytes")
    if type(values["count"]) is not int or sum(shard.count for shard in shards) != values["count"]:
        raise ValueError("the counts of the shards do not add up")
    return Split(values["count"], index, shards)


def write_index(rows: list[IndexRow]) -> bytes:
    """Return the rows as CSV with a header; rows of pairs have columns lr_* as well."""
    lr_columns = _LR_COLUMNS if any(row.lr_image for row in rows) else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"lr_{name}" for name in lr_columns)])
    for row in rows:
        values = [getattr(row, name) for name in _COLUMNS]
        writer.writerow(values + [getattr(row.lr_image, name) for name in lr_columns])
    return buffer.getvalue().encode()


def parse_index(data: bytes, split: Split, where: str) -> list[IndexRow]:
    """Parse the rows of one split; UserError if they do not match the manifest. `where` is for messages."""
    if hashlib.sha256(data).hexdigest() != split.index.sha256:
        raise UserError(f"{where} is not the file that the manifest describes; import it again")
    rows = []
    try:
        for values in csv.DictReader(io.StringIO(data.decode())):
            lr_image = LrRow(**_typed(values, "lr_", _LR_COLUMNS)) if "lr_ext" in values else None
            rows.append(IndexRow(**_typed(values, "", _COLUMNS), lr_image=lr_image))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{where} is not an index of images ({error}); import it again") from None
    if len(rows) != split.count:
        raise UserError(f"{where} lists {len(rows)} images, the manifest counts {split.count}")
    return rows


def _typed(values: dict[str, str], prefix: str, names: list[str]) -> dict[str, Any]:
    return {n: int(values[prefix + n]) if n in _NUMBERS else values[prefix + n] for n in names}


def row_from_json(values: dict[str, Any]) -> IndexRow:
    """Return the row of which `values` is dataclasses.asdict, read from JSON."""
    lr_image = values.pop("lr_image", None)
    if lr_image:
        lr_image = LrRow(**lr_image | {"measured": tuple(lr_image["measured"])})
    return IndexRow(**values, lr_image=lr_image)
