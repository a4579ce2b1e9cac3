"""Safe reading of photographs from folders and archives. No decoding, no shards, no splits.

Members of an archive are read into memory and never extracted to files, so that a hostile member name has no
effect. Names become keys that are safe in WebDataset (no dots, no leading underscores).
"""

import hashlib
import itertools
import re
import stat
import threading
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from datasets.codec import MAX_BYTES
from datasets.errors import Rejected, UserError
from datasets.files import is_web_page
from datasets.folders import IMAGE_SUFFIXES, FoundPictures, PassedOver, choose_pictures, find_pictures

MAX_RATIO = 200
"""Largest accepted compression ratio of a zip member: about 1 for photographs, thousands for zip bombs."""


@dataclass(frozen=True)
class ArchiveMember:
    """One image of a source; `key` is its name in shards, `photograph` the picture that it is cut from."""

    key: str
    name: str
    photograph: str


class Source(Protocol):
    """A readable set of images; `fingerprint` changes if the content changes."""

    name: str

    def fingerprint(self) -> str: ...

    def members(self) -> Sequence[ArchiveMember]: ...

    def read(self, member: ArchiveMember) -> bytes: ...


def keys_for(names: Iterable[str]) -> list[ArchiveMember]:
    """Return members with safe, unique keys, in order of their names.

    WebDataset splits a file name at its first dot and skips names that start with __. So all characters
    except letters, digits, - and _ become _, and a hash is added to long keys and to equal ones.
    """
    members, taken = [], set()
    for name in sorted(names):
        path = PurePosixPath(name)
        stem = str(path.with_suffix("") if path.name else name).replace("/", "-")
        key = re.sub(r"[^A-Za-z0-9_-]", "_", stem).lstrip("_-") or "image"
        if key in taken or len(key) > 80:
            key = f"{key[:60]}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
        taken.add(key)
        members.append(ArchiveMember(key, name, key))
    return members


class FolderSource:
    """A folder of photographs, with its subfolders; links are not followed."""

    def __init__(self, path: Path, name: str = "") -> None:
        if not path.is_dir():
            raise UserError(f"no folder {path}")
        self.path = path
        self.passed_over: list[PassedOver] = []
        self.name = name or path.resolve().name

    def members(self) -> list[ArchiveMember]:
        found = find_pictures(self.path)
        self.passed_over = found.passed_over
        if not found.names:
            raise _no_photographs(str(self.path), found)
        return keys_for(found.names)

    def fingerprint(self) -> str:
        rows = []
        for member in self.members():
            status = (self.path / member.name).stat()
            rows.append(f"{member.name}\0{status.st_size}\0{status.st_mtime_ns}")
        return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, member: ArchiveMember) -> bytes:
        path = self.path / member.name
        if path.stat().st_size > MAX_BYTES:
            raise Rejected(f"{path.stat().st_size} bytes, more than {MAX_BYTES}")
        return path.read_bytes()


def passed_over(source: Source) -> list[PassedOver]:
    """Return the files that `members` of a source found beside its images; mostly none."""
    return getattr(source, "passed_over", [])  # readers of one known dataset pass over nothing


def _no_photographs(where: str, found: FoundPictures) -> UserError:
    others = f", only {found.describe()}" if found.passed_over else ""
    return UserError(f"{where} has no photographs ({', '.join(IMAGE_SUFFIXES)}){others}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open the zip at `path`; UserError if it is not a zip."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"no file {path}") from None
    except Exception as error:  # a broken directory raises many exceptions, such as struct.error
        with open(path, "rb") as file:
            head = file.read(512)
        hint = "download it again"
        if is_web_page(head):
            hint = "it is a web page: the server refused the download"
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            hint = "a set is a folder or zip of photographs: name the folder that holds this one"
        elif path.suffix.lower() != ".zip":
            hint = "a set is a folder or zip of photographs"
        raise UserError(f"{path} is not a readable zip ({error}); {hint}") from None


class ZipSource:
    """A zip of photographs; members outside `prefix` are ignored."""

    def __init__(self, path: Path, name: str = "", prefix: str = "") -> None:
        self.path, self.prefix = path, prefix
        self.name = name or path.stem
        self.passed_over: list[PassedOver] = []
        self._lock = threading.Lock()
        self._zip = open_zip(path)
        self._infos = {info.filename: info for info in self._zip.infolist()}

    def members(self) -> list[ArchiveMember]:
        names = [i.filename for i in self._zip.infolist() if not i.is_dir()]
        found = choose_pictures(n for n in names if n.startswith(self.prefix))
        outside = [(n, f"outside {self.prefix}") for n in names if not n.startswith(self.prefix)]
        self.passed_over = found.passed_over + outside
        for name, following in itertools.pairwise(found.names):
            if name == following:
                raise UserError(f"{self.path} has two members named {name!r}; pack it again")
        if not found.names:
            where = f"{self.path}, under '{self.prefix}'," if self.prefix else str(self.path)
            raise _no_photographs(where, found)
        return [
            ArchiveMember(m.key, self.prefix + m.name, m.photograph)
            for m in keys_for(n.removeprefix(self.prefix) for n in found.names)
        ]

    def fingerprint(self) -> str:
        rows = [f"{i.filename}\0{i.file_size}\0{i.CRC:08x}" for i in self._zip.infolist()]
        return hashlib.sha256("\n".join(sorted(rows)).encode("utf-8", "surrogateescape")).hexdigest()

    def text(self, name: str) -> str | None:
        """Return a small text member, such as CelebA's partition file; None if there is none."""
        infos = [i for i in self._zip.infolist() if PurePosixPath(i.filename).name == name]
        if not infos or infos[0].file_size > MAX_BYTES:
            return None
        return self._zip.read(infos[0]).decode("utf-8", "replace")

    def read(self, member: ArchiveMember) -> bytes:
        info = self._infos[member.name]
        check_zip_member(info)
        try:
            # One thread at a time reads the zip; decoding, which takes longer, runs in parallel.
            with self._lock, self._zip.open(info) as stream:
                data = stream.read(MAX_BYTES + 1)
        except Exception as error:  # bad CRC, unknown compression, encrypted, truncated
            raise Rejected(f"cannot be read from the zip: {error}") from None
        if len(data) > MAX_BYTES:
            raise Rejected(f"more than {MAX_BYTES} bytes")
        return data


def check_zip_member(info: zipfile.ZipInfo, max_bytes: int = MAX_BYTES) -> None:
    """Raise Rejected if a member points outside the archive, is a link, or is too large when unpacked."""
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    if info.filename.startswith(("/", "\\")) or ".." in parts or re.match(r"^[A-Za-z]:", info.filename):
        raise Rejected("its name points outside the archive")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise Rejected("a symbolic link, not an image")
    if info.file_size > max_bytes:
        raise Rejected(f"{info.file_size} bytes, more than {max_bytes}")
    if info.file_size > MAX_RATIO * max(info.compress_size, 1):
        raise Rejected(f"unpacks to {info.file_size // max(info.compress_size, 1)} times its size")


def open_source(path: Path, name: str = "", prefix: str = "") -> Source:
    """Open the folder or zip at `path`; UserError if it is neither."""
    if path.is_dir():
        return FolderSource(path, name)
    if path.is_file():
        return ZipSource(path, name, prefix)
    raise UserError(f"no folder or zip at {path}")
