"""Images that an import leaves out: a reason for each in rejected.csv, and limits of how many may be."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets.errors import UserError
from datasets.files import atomic_write


class Rejection(NamedTuple):
    """One line of rejected.csv; `split` is empty for a file that was not read as an image."""

    split: str
    name: str
    reason: str
    broken: bool
    """True if it counts towards --max-rejected; duplicates, shifted pairs and other files do not."""


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write the first values of each row, as many as `header` has, as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(row[: len(header)] for row in rows)
    atomic_write(path, buffer.getvalue().encode("utf-8", "backslashreplace"))


def check_rejected(
    listed: Path,
    rejected: Sequence[Rejection],
    doubles: int,
    counts: Mapping[str, tuple[int, int]],
    max_rejected: float,
) -> None:
    """Check that enough images are left; `counts` are members and accepted images of each split.

    UserError if more than the share `max_rejected` is broken, or if duplicates or shifts emptied a split.
    """
    total = sum(members for members, _ in counts.values())
    broken = [r for r in rejected if r.broken]
    if broken and (len(broken) == total or len(broken) > max_rejected * total):
        raise UserError(
            f"{len(broken)} of {total} images were rejected (for instance {broken[0].name}: "
            f"{broken[0].reason}); see {listed}, leave them out, or import the others with "
            f"upsweep prepare folder --max-rejected SHARE"
        )
    empty = [split for split, (members, accepted) in counts.items() if members and not accepted]
    if shifted := [r for r in rejected if r.split in empty and not r.broken]:
        raise UserError(
            f"no pair is left for {', '.join(empty)}: {len(shifted)} were left out (for instance "
            f"{shifted[0].name}: {shifted[0].reason}); see {listed}, align the images, or use --max-shift or "
            f"--keep-shifted"
        )
    needed = [split for split in empty if split != "gate"]  # a sweep works without one
    if needed and doubles:
        raise UserError(
            f"{doubles} of {total} images show the same picture as another one, so that none is left for "
            f"{', '.join(needed)}; see {listed} and provide more pictures"
        )
