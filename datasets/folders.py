"""Pictures in a folder or archive, by one rule for importing and upscaling; other files are counted."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp")
"""Suffixes of the formats that shards hold."""
METADATA = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Names that operating systems add; they count as hidden."""


@dataclass
class FoundPictures:
    """The pictures of a folder or archive, and how many other names there were, by kind."""

    names: list[str] = field(default_factory=list)
    """Paths below the folder with '/', sorted."""
    passed_over: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        """Return the names that were passed over in words ("3 .txt, 1 hidden"); empty if there are none."""
        most = sorted(self.passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
        return ", ".join(f"{n} {kind}" for kind, n in most[:8])


def choose_pictures(names: Iterable[str], suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> FoundPictures:
    """Return the names that have one of `suffixes` and are not hidden, nor in a hidden folder."""
    found = FoundPictures()
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if any(_is_hidden(part) for part in path.parts):
            found.passed_over["hidden"] += 1
        elif path.suffix.lower() in suffixes:
            found.names.append(name)
        else:
            found.passed_over[path.suffix.lower() or "without suffix"] += 1
    found.names.sort()
    return found


def find_pictures(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> FoundPictures:
    """Return the pictures of `folder` and its subfolders.

    Links are not followed, and a hidden folder counts as one hidden name.
    """
    names: list[str] = []
    passed_over: Counter[str] = Counter()
    unreadable: list[OSError] = []
    for top, folders, files in os.walk(folder, onerror=unreadable.append):
        for name in [*folders, *files]:
            path = Path(top, name)
            if _is_hidden(name):
                passed_over["hidden"] += 1
            elif path.is_symlink():
                passed_over["links"] += 1
            elif path.is_file():
                names.append(path.relative_to(folder).as_posix())
            elif not path.is_dir():
                passed_over["special files"] += 1
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
    found = choose_pictures(names, suffixes)
    found.passed_over += passed_over + Counter({"unreadable folders": len(unreadable)})
    return found


def _is_hidden(part: str) -> bool:
    return part in METADATA or (part.startswith(".") and part not in (".", ".."))
