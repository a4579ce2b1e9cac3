"""The working tree as it travels: what git knows or would add, and a note of commit and changes.

`.git` stays here, so a copy made for the cluster says in a file of its own what it was made of.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.provenance import ROOT

LIMIT_BYTES = 100_000_000
LEFT_HERE = ("docs/images/", "tests/")


@contextmanager
def working_tree_bundle(
    root: Path = ROOT, beside: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Path]:
    """A copy of the working tree that goes with the block. UserError where something in it is no code.

    `beside` are texts from elsewhere that travel as well, by their names in the copy.
    """
    with TemporaryDirectory(prefix="upsweep-") as folder:
        for name in _names(root):
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target)
        for name, text in beside.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text)
        note = {"commit": provenance.commit(root), "diff": provenance.diff(root)}
        (Path(folder) / provenance.PROVENANCE_FILE).write_text(json.dumps(note))
        yield Path(folder)


def _names(root: Path) -> list[str]:
    git = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, text=True)
    except OSError:
        listed = None
    if listed is not None and listed.returncode == 0:
        names = [n for n in listed.stdout.split("\0") if n]
    else:  # no checkout: the rooms themselves
        rooms = ("datasets", "trainers", "orchestrator", "experiments")
        names = [str(p.relative_to(root)) for r in rooms for p in (root / r).rglob("*.*")]
        names = [n for n in names if "__pycache__" not in n]
    kept = [n for n in names if not n.startswith(LEFT_HERE) and (root / n).is_file()]
    sizes = {n: (root / n).stat().st_size for n in kept}
    if sum(sizes.values()) > LIMIT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise UserError(
            f"the working tree holds {sum(sizes.values()) / 1e6:.0f} MB beside what .gitignore names, too "
            f"much to send with a sweep; the largest file is {largest}: add it to .gitignore or move it away"
        )
    return kept
