"""Safe reading of shards as samples, with webdataset grouping files. No shuffling, no decoding.

Opening, reading and counting are done here, for three reasons: webdataset's opener runs `pipe:` and rewritten
URLs in a shell, its reader accepts a tar that was cut on a 512-byte record, and reading a file with it takes
as long as decoding a crop.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from webdataset.tariterators import group_by_keys

from datasets.codec import MAX_BYTES
from datasets.errors import UserError
from datasets.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    IndexFile,
    IndexRow,
    Manifest,
    Shard,
    parse_index,
    parse_manifest,
)
from datasets.remote_shards import RemoteShards

Location = str | RemoteShards
"""A local shard folder, or a shard folder at a URL."""

Files = tuple[bytes, ...]
"""Encoded images of one sample: a photograph alone, or the HR and the LR image of a pair."""

_BLOCK = 1 << 20
_RECORD = 512
_END = bytes(_RECORD)


def is_shards(location: str) -> bool:
    """Return True if `location` is a local shard folder, with a manifest.json."""
    return (Path(location) / MANIFEST).is_file()


def _open(location: Location, entry: Shard | IndexFile) -> BinaryIO:
    if isinstance(location, RemoteShards):
        return location.open(entry)
    try:
        file = open(Path(location) / entry.file, "rb")
    except OSError as error:
        raise UserError(f"cannot read {entry.file} of {location}: {error.strerror}") from None
    size = os.fstat(file.fileno()).st_size
    if size != entry.bytes:  # before a byte is read: a sparse file may claim any size
        file.close()
        raise UserError(
            f"{location}/{entry.file} has {size} bytes, but the manifest says {entry.bytes}; import it again"
        )
    return file


def prefetch(location: Location, shards: Iterable[Shard]) -> None:
    """Download the shards of a URL that this machine does not have yet."""
    if isinstance(location, RemoteShards):
        for shard in shards:
            location.open(shard).close()


def read_manifest(location: Location) -> Manifest:
    """Read the manifest of a shard folder; UserError if it is missing or damaged."""
    if isinstance(location, RemoteShards):
        return parse_manifest(location.read(MANIFEST), f"{location}/{MANIFEST}")
    try:
        with open(Path(location) / MANIFEST, "rb") as file:
            return parse_manifest(file.read(MAX_MANIFEST_BYTES), f"{location}/{MANIFEST}")
    except OSError as error:
        raise UserError(f"cannot read {MANIFEST} of {location}: {error.strerror}") from None


def read_index(location: Location, manifest: Manifest, split: str) -> list[IndexRow]:
    """Read the rows of one split; UserError if they do not match the manifest."""
    entry = manifest.splits[split]
    with _open(location, entry.index) as file:
        return parse_index(file.read(), entry, f"{location}/{entry.index.file}")


class _Hashed:
    """A stream that counts and hashes (SHA-256) the bytes read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._hash, self.count = stream, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self.count += len(data)
        return data

    def finish(self) -> str:
        while self.read(_BLOCK):
            pass
        return self._hash.hexdigest()


def samples(location: Location, shards: Iterable[Shard]) -> Iterator[tuple[str, Files]]:
    """Yield (key, files) of each shard, in the order of the tar.

    UserError if length, hash or number of images of a shard are not those of the manifest.
    """
    for shard in shards:
        with _open(location, shard) as stream:
            yield from _shard_samples(stream, shard, f"{location}/{shard.file}")


def _shard_samples(stream: BinaryIO, shard: Shard, where: str) -> Iterator[tuple[str, Files]]:
    hashed = _Hashed(stream)
    count = 0
    try:
        # webdataset gets an open stream, so that its gopen (shell pipes, GOPEN_REWRITE) never runs.
        for sample in group_by_keys(_members(hashed, where)):
            yield sample["__key__"], _files(sample, where)
            count += 1
    except UserError:
        raise
    except Exception as error:  # webdataset raises any exception on a damaged shard
        raise UserError(f"{where} is damaged ({type(error).__name__}); import it again") from None
    if hashed.finish() != shard.sha256 or count != shard.count:
        raise UserError(
            f"{where} gave {count} images in {hashed.count} bytes, but the manifest says {shard.count} in "
            f"{shard.bytes}, or its hash differs; import it again"
        )


def _members(stream: _Hashed, where: str) -> Iterator[dict]:
    """Yield the files of a tar like webdataset's expander, but three times as fast.

    Shards contain only plain files with short names, ustar headers of type 0. ValueError if the tar has
    another header or is truncated.
    """
    while (header := stream.read(_RECORD)) and header != _END:
        if len(header) < _RECORD or header[257:262] != b"ustar" or header[156:157] not in (b"0", b"\0"):
            raise ValueError("not a plain ustar header")
        size = int(header[124:136].rstrip(b" \0"), 8)
        if not 0 <= size <= MAX_BYTES:
            raise ValueError(f"a member of {size} bytes")
        data = stream.read(size)
        stream.read(-size % _RECORD)
        if len(data) < size:
            raise ValueError("the tar ends inside a file")
        yield {"fname": header[:100].rstrip(b"\0").decode(), "data": data, "__url__": where}
    yield {}


def _files(sample: dict, where: str) -> Files:
    fields = sorted(name for name in sample if not name.startswith("__"))
    kinds = [name.partition(".")[0] for name in fields]
    if len(fields) != 1 and kinds != ["hr", "lr"]:
        raise UserError(
            f"{where} has {len(fields)} files for key {sample['__key__']}; expected one image, or one hr.* "
            f"and one lr.*"
        )
    return tuple(sample[name] for name in fields)
