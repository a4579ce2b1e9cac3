"""Keeping the cache of a machine below a limit: the longest unused goes first, nothing in use ever goes.

An entry is in use while a process holds a shared flock on its meta.json; the kernel drops that lock when the
process ends, so no entry stays blocked by a dead one.
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
    """A handle that keeps `entry` from being evicted while it is open; None where there is no entry."""
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
        pass  # evicted between opening and locking
    handle.close()
    return None


def evict(cache: Path, limit_bytes: int) -> None:
    """Delete decoded entries and fetched shards, oldest use first, until at most `limit_bytes` are left."""
    found = [(path.stat().st_mtime, path) for path in cache.glob(f"*/{META}")]
    found += [(path.stat().st_mtime, path) for path in cache.glob("shards/*") if not path.suffix]
    sizes = {path: _size(path) for _, path in found}
    total = sum(sizes.values())
    for _, path in sorted(found):
        if total <= limit_bytes:
            return
        gone = _drop_entry(path) if path.name == META else _drop_shard(path)
        total -= sizes[path] * gone


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        files = path.parent.iterdir() if path.name == META else [path]
        return sum(file.stat().st_size for file in files)
    return 0


def _drop_shard(path: Path) -> bool:
    path.unlink(missing_ok=True)  # whoever reads it keeps its open file
    return True


def _drop_entry(meta: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, BlockingIOError), open(meta, "rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        dead = meta.parent.with_name(f".evicted.{uuid.uuid4().hex}")
        meta.parent.rename(dead)
        shutil.rmtree(dead, ignore_errors=True)
        return True
    return False
