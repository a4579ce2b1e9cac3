"""Shard folders behind s3://, gs://, az:// and https://: files are fetched once per machine, checked, cached.

A file is cached under its SHA-256, so files of two datasets with equal names do not collide. Other schemes
are refused, and nothing is passed to a shell.
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

from datasets.address import http_request, split
from datasets.cache_eviction import evict
from datasets.errors import UserError
from datasets.files import atomic_file, is_web_page, locked, remove_leftovers
from datasets.manifest import MAX_MANIFEST_BYTES, IndexFile, Shard
from datasets.object_store import file_system, reason

STORES = ("s3", "gs", "az")
SCHEMES = (*STORES, "https")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ATTEMPTS = 5
BLOCK = 1 << 20


def is_url(spec: str) -> bool:
    """Return True if `spec` is a URL; UserError if its scheme is not supported."""
    scheme = spec.split(":", 1)[0] if ":" in spec else ""
    if not scheme or not scheme.isalnum() or Path(spec).exists():
        return False
    loopback = scheme == "http" and split(spec, "the URL").hostname in LOOPBACK
    if (scheme in SCHEMES and "://" in spec) or loopback:
        return True
    raise UserError(f"{spec} cannot be opened: shards are read from folders, {', '.join(SCHEMES)}")


@dataclass(frozen=True)
class RemoteShards:
    """A shard folder at `url`; downloaded files are stored in `cache`, up to `limit_bytes` (0: no limit)."""

    url: str
    cache: Path
    limit_bytes: int = 0

    def __str__(self) -> str:
        return self.url

    def read(self, name: str) -> bytes:
        """Download the manifest, which names all other files by hash; it is not cached."""
        url = f"{self.url.rstrip('/')}/{name}"
        try:
            data = b""
            for block in _blocks(url, 0):
                data += block
                if len(data) > MAX_MANIFEST_BYTES:
                    raise UserError(f"{url} has more than {MAX_MANIFEST_BYTES} bytes, unlike a manifest")
            return data
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"cannot fetch {url}: {reason(error)}") from None

    def open(self, entry: Shard | IndexFile) -> BinaryIO:
        """Open this machine's copy of a file in the manifest; download it if there is none."""
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
                continue  # it was evicted after the lock was released


def _fetch(url: str, entry: Shard | IndexFile, path: Path) -> None:
    """Download to `path`, resuming after a dropped connection; the lock of `path` is held."""
    remove_leftovers(path)
    with atomic_file(path) as partial:
        for attempt in range(ATTEMPTS):
            try:
                with open(partial, "ab") as file:
                    for block in _blocks(url, file.tell()):
                        file.write(block)
                        if file.tell() > entry.bytes:  # a server may send without end
                            break
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS - 1:
                    raise UserError(f"cannot fetch {url}: {reason(error)}") from None
            if partial.stat().st_size >= entry.bytes:
                break
            time.sleep(0.1 * 2**attempt)
        _check(url, entry, partial)


def _check(url: str, entry: Shard | IndexFile, partial: Path) -> None:
    size = partial.stat().st_size
    with open(partial, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        page = is_web_page(file.read(512))
    if size == entry.bytes and digest == entry.sha256:
        return
    what = "its hash differs from the manifest"
    if size != entry.bytes:
        what = "it is a web page, not a shard" if page else f"it has {size} bytes instead of {entry.bytes}"
    raise UserError(f"{url} is not the file that was imported: {what}")


def _blocks(url: str, start: int) -> Iterator[bytes]:
    """Yield the bytes of `url` from offset `start` in blocks."""
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
    bare, headers = http_request(url)
    headers |= {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(bare, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            skip = 0 if response.status == 206 else start  # a server without ranges sends all bytes again
            while skip and (block := response.read(min(skip, BLOCK))):
                skip -= len(block)
            while block := response.read(BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise UserError(f"cannot fetch {url}: HTTP {error.code} {error.reason}") from None
        raise ConnectionError(f"HTTP {error.code} {error.reason}") from None


def upload(folder: Path, url: str, first: str, last: str) -> None:
    """Upload a finished shard folder to an object store, starting with file `first` and ending with `last`.

    `first` says which import the folder belongs to, `last` is the manifest that completes it. UserError if
    the store refuses, or if another dataset is stored at `url`.
    """
    if urlsplit(url).scheme not in STORES:
        raise UserError(f"--out {url} is not supported; use a folder, s3://, gs:// or az://")
    system, root = file_system(url.rstrip("/"))
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    try:
        if not _claimed(system, f"{root}/{first}", (folder / first).read_bytes()):
            raise UserError(f"{url} already has other files; choose another --out or empty it")
        for name in [first, *(n for n in names if n not in (first, last)), last]:
            with system.open_output_stream(f"{root}/{name}") as stream, open(folder / name, "rb") as file:
                while block := file.read(BLOCK):
                    stream.write(block)
    except OSError as error:
        raise UserError(f"cannot write {url}: {reason(error)}") from None


def _claimed(system: Any, path: str, plan: bytes) -> bool:
    """Return True if `path` does not exist, or if it has this plan, as when an import is repeated."""
    try:
        with system.open_input_file(path) as file:
            return file.read() == plan
    except FileNotFoundError:
        return True
