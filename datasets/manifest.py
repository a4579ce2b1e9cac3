"""Reading and writing of manifest.json and index-<split>.csv, the table of contents of a shard folder.

The manifest lists every file with size and SHA-256, so that readers notice a missing, truncated or exchanged
file. The index has one row per image with the hash of its pixels, so that a wrong image is noticed too.
"""

import csv
import dataclasses
import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import Any

from datasets.errors import UserError, unknown

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class IndexRow:
    """One image: `source` is the photograph it was cut from; width and height are after the transform."""

    key: str
    source: str
    ext: str
    n_bytes: int
    bytes_sha256: str
    pixel_sha256: str
    dhash: str
    thumb: str
    width: int
    height: int
    mode: str


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
    notes: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the text of manifest.json; keys are sorted, so that equal contents have equal bytes."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"

    def split_for(self, role: str) -> str:
        """Return the split for `role`: its own, or `all` if the set was not cut; UserError if it has none."""
        if role in self.splits:
            return role
        if "all" in self.splits:
            return "all"
        raise unknown(f"split of {self.name} called", role, self.splits, f"data.{role}")

    def digest(self, role: str) -> str:
        """Return 16 hex digits over everything that decides the pixels of `role`; names and notes do not."""
        split = self.splits[self.split_for(role)]
        parts = [self.schema, self.transform, self.decoder, role, split.index.sha256]
        parts += [shard.sha256 for shard in split.shards]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Parse manifest.json; UserError if it is damaged or has another schema. `where` is for messages."""
    try:
        values = json.loads(text)
        if values["schema"] != SCHEMA:
            raise UserError(
                f"{where} has schema {values['schema']}, this version reads {SCHEMA}; import it again"
            )
        splits = {name: _split(split) for name, split in values.pop("splits").items()}
        return Manifest(splits=splits, **values)
    except UserError:
        raise
    except Exception as error:  # any other JSON may be in the file
        raise UserError(f"{where} is not a manifest of shards ({type(error).__name__}: {error})") from None


def _split(values: dict[str, Any]) -> Split:
    shards = [Shard(**shard) for shard in values["shards"]]
    for file in [values["index"]["file"], *(shard.file for shard in shards)]:
        if "/" in file or "\\" in file or file.startswith("."):
            raise ValueError(f"a file outside the folder: {file!r}")
    if sum(shard.count for shard in shards) != values["count"]:
        raise ValueError("the counts of the shards do not add up")
    return Split(values["count"], IndexFile(**values["index"]), shards)


def write_index(rows: list[IndexRow]) -> bytes:
    """Return the rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([f.name for f in dataclasses.fields(IndexRow)])
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return buffer.getvalue().encode()


def parse_index(data: bytes, split: Split, where: str) -> list[IndexRow]:
    """Parse the rows of one split; UserError if they do not match the manifest. `where` is for messages."""
    if hashlib.sha256(data).hexdigest() != split.index.sha256:
        raise UserError(f"{where} is not the file that the manifest describes; import it again")
    rows = []
    for values in csv.DictReader(io.StringIO(data.decode())):
        numbers = {name: int(values.pop(name)) for name in ("n_bytes", "width", "height")}
        rows.append(IndexRow(**values, **numbers))
    if len(rows) != split.count:
        raise UserError(f"{where} lists {len(rows)} images, the manifest counts {split.count}")
    return rows
