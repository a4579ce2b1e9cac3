"""Pictures in a folder or archive, by one rule for importing and upscaling; other files are counted."""

import difflib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datasets.text import printable

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".npy")
"""Suffixes of the formats that shards hold."""
METADATA = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Names that operating systems add; they count as hidden."""


PassedOver = tuple[str, str]
"""A name that is not read as an image, and its kind: a suffix, or a word such as "hidden"."""


@dataclass
class FoundPictures:
    """The pictures of a folder or archive, and the other names, each with its kind."""

    names: list[str] = field(default_factory=list)
    """Paths below the folder with '/', sorted."""
    passed_over: list[PassedOver] = field(default_factory=list)

    def describe(self) -> str:
        """Return the kinds of `passed_over` in words, as `count_kinds`."""
        return count_kinds(self.passed_over)


def names_beside(path: Path) -> list[str]:
    """Return at most two paths that exist beside the missing `path` and have a similar name."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    return [str(path.parent / name) for name in difflib.get_close_matches(path.name, names, n=2)]


def count_kinds(passed_over: Iterable[PassedOver]) -> str:
    """Return the kinds of names that were passed over in words ("3 .txt, 1 hidden"); "" without names."""
    most = sorted(Counter(kind for _, kind in passed_over).items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{n} {printable(kind)}" for kind, n in most[:8])


def choose_pictures(names: Iterable[str], suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> FoundPictures:
    """Return the names that have one of `suffixes` and are not hidden, nor in a hidden folder."""
    found = FoundPictures()
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if any(_is_hidden(part) for part in path.parts):
            found.passed_over.append((name, "hidden"))
        elif path.suffix.lower() in suffixes:
            found.names.append(name)
        else:
            found.passed_over.append((name, path.suffix.lower() or "without suffix"))
    found.names.sort()
    return found


def find_pictures(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> FoundPictures:
    """Return the pictures of `folder` and its subfolders.

    Links are not followed, and a hidden folder counts as one hidden name.
    """
    names: list[str] = []
    passed_over: list[PassedOver] = []
    unreadable: list[OSError] = []
    for top, folders, files in os.walk(folder, onerror=unreadable.append):
        for name in [*folders, *files]:
            path = Path(top, name)
            below = path.relative_to(folder).as_posix()
            if _is_hidden(name):
                passed_over.append((below, "hidden"))
            elif path.is_symlink():
                passed_over.append((below, "links"))
            elif path.is_file():
                names.append(below)
            elif not path.is_dir():
                passed_over.append((below, "special files"))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
    found = choose_pictures(names, suffixes)
    found.passed_over += passed_over
    found.passed_over += [(str(error.filename), "unreadable folders") for error in unreadable]
    return found


def _is_hidden(part: str) -> bool:
    return part in METADATA or (part.startswith(".") and part not in (".", ".."))
