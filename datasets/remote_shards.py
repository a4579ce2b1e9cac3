"""Shard folders behind s3://, gs:// and https://: fetched file by file, checked, kept by content.

A file is fetched once per machine whatever the number of processes, under its SHA-256, so equal names of two
datasets never meet. No other scheme is opened, and nothing is ever handed to a shell.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from datasets.cache_eviction import evict
from datasets.errors import UserError
from datasets.files import locked
from datasets.manifest import IndexFile, Shard
from datasets.object_store import file_system, reason

SCHEMES = ("s3", "gs", "https")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ATTEMPTS = 5
BLOCK = 1 << 20


def is_url(spec: str) -> bool:
    """Whether `spec` is meant as a URL. UserError for one whose scheme is not opened."""
    scheme = spec.split(":", 1)[0] if ":" in spec else ""
    if not scheme or not scheme.isalnum() or Path(spec).exists():
        return False
    loopback = scheme == "http" and urlsplit(spec).hostname in LOOPBACK
    if (scheme in SCHEMES and "://" in spec) or loopback:
        return True
    raise UserError(f"{spec} cannot be opened: shards are read from folders, {', '.join(SCHEMES)}")


@dataclass(frozen=True)
class Remote:
    """A shard folder at `url`; what is fetched lies in `cache`."""

    url: str
    cache: Path
    limit_bytes: int = 0

    def __str__(self) -> str:
        return self.url

    def read(self, name: str) -> bytes:
        """A small file, fetched anew each time: the manifest, which names all the others by hash."""
        return b"".join(_blocks(f"{self.url.rstrip('/')}/{name}", 0))

    def open(self, entry: Shard | IndexFile) -> BinaryIO:
        """A file of the manifest, from this machine's copy; the first who asks fetches it."""
        path = self.cache / "shards" / entry.sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with locked(path.with_name(f"{path.name}.lock")):
                if not path.is_file():
                    if self.limit_bytes:
                        evict(self.cache, self.limit_bytes - entry.bytes)
                    _fetch(f"{self.url.rstrip('/')}/{entry.file}", entry, path)
            try:
                os.utime(path)
                return open(path, "rb")
            except FileNotFoundError:
                continue  # evicted between the two lines


def _fetch(url: str, entry: Shard | IndexFile, path: Path) -> None:
    """Into a neighbour, going on after a dropped connection, checked, then renamed."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    for attempt in range(ATTEMPTS):
        done = partial.stat().st_size if partial.exists() else 0
        try:
            with open(partial, "ab") as file:
                for block in _blocks(url, done):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS - 1 or isinstance(error, urllib.error.HTTPError):
                raise UserError(f"cannot fetch {url}: {reason(error)}") from None
        if partial.stat().st_size >= entry.bytes:
            break
        time.sleep(0.1 * 2**attempt)
    _check(url, entry, partial)
    partial.rename(path)


def _check(url: str, entry: Shard | IndexFile, partial: Path) -> None:
    size = partial.stat().st_size
    with open(partial, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        page = file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html"))
    if size == entry.bytes and digest == entry.sha256:
        return
    partial.unlink()
    what = "it is a web page, not a shard" if page else f"{size} bytes came, the manifest says {entry.bytes}"
    if size == entry.bytes:
        what = "its hash differs from the manifest"
    raise UserError(f"{url} is not the file that was imported: {what}")


def _blocks(url: str, start: int) -> Iterator[bytes]:
    """The bytes of `url` from offset `start`."""
    if urlsplit(url).scheme in ("http", "https"):
        yield from _http_blocks(url, start)
        return
    system, path = file_system(url)
    try:
        with system.open_input_file(path) as file:
            file.seek(start)
            while block := file.read(BLOCK):
                yield block
    except FileNotFoundError:
        raise UserError(f"there is no {url}") from None


def _http_blocks(url: str, start: int) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            skip = 0 if response.status == 206 else start  # a server without ranges starts over
            while skip and (block := response.read(min(skip, BLOCK))):
                skip -= len(block)
            while block := response.read(BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise UserError(f"cannot fetch {url}: HTTP {error.code} {error.reason}") from None
        raise ConnectionError(f"HTTP {error.code} {error.reason}") from None


def upload(folder: Path, url: str, first: str, last: str) -> None:
    """Copy a finished shard folder to an object store; `first` claims the place, `last` completes it.

    UserError where the store refuses, or holds another dataset there.
    """
    if urlsplit(url).scheme not in ("s3", "gs"):
        raise UserError(f"--out {url}: shards are written to folders, s3:// and gs:// only")
    system, root = file_system(url.rstrip("/"))
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    try:
        if not _claimed(system, f"{root}/{first}", (folder / first).read_bytes()):
            raise UserError(f"{url} already holds something else; choose another --out or empty it")
        for name in [first, *(n for n in names if n not in (first, last)), last]:
            with system.open_output_stream(f"{root}/{name}") as stream, open(folder / name, "rb") as file:
                while block := file.read(BLOCK):
                    stream.write(block)
    except OSError as error:
        raise UserError(f"cannot write {url}: {reason(error)}") from None


def _claimed(system: Any, path: str, plan: bytes) -> bool:
    """Whether `path` is free, or holds the same plan: then this is a second try of one import."""
    try:
        with system.open_input_file(path) as file:
            return file.read() == plan
    except FileNotFoundError:
        return True
