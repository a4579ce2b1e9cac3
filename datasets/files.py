"""Files that survive a kill: they appear complete or not at all, and locks end with their process."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from datasets.errors import UserError


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there becomes `path` when the block ends well.

    For files that are written piece by piece; `atomic_write` is for bytes in memory. If the block raises, the
    temporary file is deleted. With `durable`, the data is on the disk (fsync) before the file takes its name.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        if durable:
            _fsync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        _fsync(path.parent)


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`: a reader finds the old file or the complete new one, even after a power cut.

    durable=False leaves out the fsync of file and folder: much faster, but only safe if a process is killed.
    """
    with atomic_file(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def create_file(path: Path, data: bytes) -> bool:
    """Write `path` unless it exists, in one act that is atomic on NFS too; return True if it was written.

    The file appears complete; on a file system without hard links, readers may find it empty for a moment.
    """
    temporary = _temporary(path)
    try:
        temporary.write_bytes(data)
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        try:
            with open(path, "xb") as file:
                file.write(data)
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def atomic_json(path: Path, value: Any, *, durable: bool = True, pretty: bool = False) -> None:
    """Write `value` as JSON by `atomic_write`; `pretty`: indented, keys sorted, with a final newline."""
    text = json.dumps(value, indent=1, sort_keys=True) + "\n" if pretty else json.dumps(value)
    atomic_write(path, text.encode(), durable=durable)


@contextmanager
def atomic_folder(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a new empty folder beside `target` that becomes `target` when the block ends well.

    An existing `target` is replaced. If the block raises, the new folder is deleted and `target` is kept.
    """
    temporary, replaced = _temporary(target), _temporary(target)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if durable:
            for path in [*temporary.rglob("*"), temporary]:
                _fsync(path)
        if target.exists():
            os.rename(target, replaced)  # deleting it takes long: a kill would leave neither
        os.rename(temporary, target)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if durable:
        _fsync(target.parent)


def remove_leftovers(path: Path) -> None:
    """Delete what killed writers of `path` left beside it; call this only with the lock of `path` held."""
    for leftover in path.parent.glob(f".{glob.escape(_short(path.name))}.????????.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{_short(path.name)}.{uuid.uuid4().hex[:8]}.tmp")


def _short(name: str) -> str:
    """Return a name of at most 200 bytes: a file system takes 255, and a temporary name is longer."""
    raw = os.fsencode(name)
    return name if len(raw) <= 200 else hashlib.sha256(raw).hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Held(Exception):
    """Another process has the lock; `holder` is the text that it wrote into the lock file."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is locked by {holder or 'another process'}")
        self.holder = holder


@contextmanager
def locked(path: Path, blocking: bool = True, holder: str = "") -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, made if missing; the kernel frees it when the process ends.

    `holder` becomes the content of the file, to tell other processes who has the lock. Raises Held if another
    process has it and `blocking` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not through a link, which somebody else may have put into a shared folder
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise Held(path, file.read()) from None
        file.truncate(0)
        file.write(holder)
        file.flush()
        yield


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of what only one process may work on; UserError saying that another one does `what`."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, blocking=False, holder=f"process {os.getpid()}"))
        except Held as held:
            raise UserError(
                f"{held.holder or 'another process'} {what}; end it first, or choose another name"
            ) from None
        yield


def own_folder(shared: Path) -> Path:
    """Return the folder of this user in a shared one such as /tmp, made if missing; nobody else can enter it.

    Raises:
        UserError: somebody else has made a folder of its name.
    """
    folder = shared / f"upsweep-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user: remove it, or set TMPDIR to a folder of your own")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def is_trusted(path: Path) -> bool:
    """Return True if `path` is a file that only this user or root could have written, and not a link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and not _others_may_write(status)


def untrusted(folder: Path) -> Path | None:
    """Return a path in `folder`, or itself, that somebody else than this user or root may have written."""
    paths = [folder, *sorted(folder.rglob("*"))]
    return next((path for path in paths if _others_may_write(path.lstat())), None)


def _others_may_write(status: os.stat_result) -> bool:
    writable = status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode)
    return bool(writable) or status.st_uid not in (os.getuid(), 0)


def user_path(text: str | Path) -> Path:
    """Return the path that a user wrote, with ~ as the shell takes it: the name of no user stays as it is."""
    return Path(os.path.expanduser(text))


def first_missing(path: Path) -> Path | None:
    """Return the topmost folder on the way to `path` that does not exist yet; None if `path` exists."""
    return next((p for p in [*reversed(path.parents), path] if not p.exists()), None)


def is_web_page(data: bytes) -> bool:
    """Return True if a file starts like HTML, as when a server answered a download with an error page."""
    return data[:512].lstrip().lower().startswith((b"<!doctype", b"<html"))


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_json(path: Path, kind: type = dict, keys: Sequence[str] = ()) -> Any:
    """Return the JSON of a file of ours: an object, or a list if `kind` is list; empty if there is no file.

    UserError if the file is damaged: not JSON, of another kind, or without one of `keys` in the object, or in
    an entry of the list.
    """
    if not path.exists():
        return kind()
    return parse_json(path.read_bytes(), str(path), kind, keys)


def parse_json(text: str | bytes, place: str, kind: type = dict, keys: Sequence[str] = ()) -> Any:
    """Return the JSON in `text`, which was read from `place`; UserError as for `read_json`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is empty" if not text.strip() else f"it is not JSON ({error})"
        raise damaged(place, reason) from None
    if not isinstance(value, kind):
        raise damaged(place, f"it holds a {type(value).__name__} instead of a {kind.__name__}")
    for entry in value if kind is list else [value]:
        missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise damaged(place, f"{'an entry' if kind is list else 'it'} has no '{missing[0]}'")
    return value


@contextmanager
def reading(place: str | Path) -> Iterator[None]:
    """Turn the errors of code that takes a file of ours apart into the UserError for a damaged file."""
    try:
        yield
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(str(place), f"{type(error).__name__}: {error}") from None


def damaged(place: str, reason: str) -> UserError:
    """Return the error for a file that this project wrote and cannot read any more."""
    return UserError(f"{place} is damaged: {reason}; restore it from a copy, or remove what it belongs to")
