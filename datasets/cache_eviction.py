"""Cache eviction: the least recently used entries are deleted first, entries in use never.

An entry is in use while a process holds a shared lock on its meta.json; the kernel frees that lock when the
process ends.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

META = "meta.json"


def hold(entry: Path) -> BinaryIO | None:
    """Open and lock `entry` so that it is not evicted until the file is closed; None if there is no entry."""
    try:
        handle = open(entry / META, "rb")
    except FileNotFoundError:
        return None
    fcntl.flock(handle, fcntl.LOCK_SH)
    try:
        if os.path.samestat(os.fstat(handle.fileno()), (entry / META).stat()):
            os.utime(entry / META)
            return handle
    except FileNotFoundError:
        pass  # it was evicted between opening and locking
    handle.close()
    return None


def evict(cache: Path, limit_bytes: int) -> None:
    """Delete decoded entries and fetched shards, least recently used first, until `limit_bytes` are left."""
    paths = [*cache.glob(f"*/{META}"), *(path for path in cache.glob("shards/*") if not path.suffix)]
    sizes = {path: _size(path) for path in paths}
    total = sum(sizes.values())
    for _, path in sorted((path.stat().st_mtime, path) for path in paths):
        if total <= limit_bytes:
            return
        if path.name != META:
            path.unlink(missing_ok=True)  # processes that read the shard keep it open
        if path.name != META or _drop_entry(path):
            total -= sizes[path]


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        files = path.parent.iterdir() if path.name == META else [path]
        return sum(file.stat().st_size for file in files)
    return 0


def _drop_entry(meta: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, BlockingIOError), open(meta, "rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        dead = meta.parent.with_name(f".evicted.{uuid.uuid4().hex}")
        meta.parent.rename(dead)
        shutil.rmtree(dead, ignore_errors=True)
        return True
    return False
