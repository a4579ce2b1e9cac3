"""Writing that survives a kill: whole files or none, and locks that die with their process."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def atomic_write(path: Path, data: bytes) -> None:
    """The whole file or none: temporary neighbour, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Held(Exception):
    """Another process has the lock; `holder` is the text that it wrote into the lock file."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is locked by {holder or 'another process'}")
        self.holder = holder


@contextmanager
def locked(path: Path, blocking: bool = True, holder: str = "") -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, made if missing; the kernel frees it when the process ends.

    `holder`, if given, is written into the file, to tell other processes who has the lock.

    Raises:
        Held: if another process has the lock and `blocking` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise Held(path, file.read()) from None
        if holder:
            file.truncate(0)
            file.write(holder)
            file.flush()
        yield


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object that another process replaces whole; {} where it does not exist yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace `path` in one step: a reader sees the old or the new object, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(values))
    temporary.replace(path)
