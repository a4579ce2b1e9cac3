"""Disks without room."""

from pathlib import Path


def fill(folder: Path) -> None:
    """Write the file `filler` until the disk of `folder` has no room left."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
