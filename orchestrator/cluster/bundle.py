"""A copy of the working tree for a cluster: the files that git tracks or would add, without data.

`.git` is not copied, so the copy has a file that names its commit and changes (orchestrator/provenance.py).
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.provenance import ROOT

LIMIT_BYTES = 100_000_000
EXTRA_LIMIT_BYTES = 400_000_000
NOT_SENT = ("docs/images/", "tests/", ".gitignore")  # Ray would leave out what .gitignore names
PACKAGES = ("datasets", "trainers", "orchestrator", "experiments", "upsweep")


@contextmanager
def working_tree_bundle(
    root: Path = ROOT, extra_files: Mapping[str, bytes] = MappingProxyType({})
) -> Iterator[Path]:
    """Yield a temporary copy of the working tree, with `extra_files` (name in the copy -> content).

    Raises:
        UserError: if the tree is larger than LIMIT_BYTES, or `extra_files` than EXTRA_LIMIT_BYTES.
    """
    if (size := sum(map(len, extra_files.values()))) > EXTRA_LIMIT_BYTES:
        raise UserError(
            f"the files to send with the command have {size / 1e6:.0f} MB, and the limit is "
            f"{EXTRA_LIMIT_BYTES / 1e6:.0f} MB: give weights by https://...#sha256=HEX instead"
        )
    with TemporaryDirectory(prefix="upsweep-") as temporary:
        folder = Path(temporary)
        for name in _names(root):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
        for name, content in extra_files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        note = {"commit": provenance.commit(root), "diff": provenance.diff(root)}
        (folder / provenance.PROVENANCE_FILE).write_text(json.dumps(note))
        yield folder


def _names(root: Path) -> list[str]:
    listing = provenance.git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listing:
        names = [n for n in listing.split("\0") if n]
    else:  # not a checkout: the packages themselves
        paths = [p for package in PACKAGES for p in (root / package).rglob("*.*")]
        names = [n for p in paths if "__pycache__" not in (n := str(p.relative_to(root)))]
    sizes = {
        n: (root / n).stat().st_size for n in names if not n.startswith(NOT_SENT) and (root / n).is_file()
    }
    if sum(sizes.values()) > LIMIT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise UserError(
            f"the working tree is too large to send with a sweep: {sum(sizes.values()) / 1e6:.0f} MB without "
            f"what .gitignore excludes; the largest file is {largest}: add it to .gitignore or move it away"
        )
    return list(sizes)


def write_zip(target: Path) -> Path:
    """Write the copy as one zip file, in the form that Ray takes as a working_dir by URL; return its path."""
    with working_tree_bundle() as folder:
        made = shutil.make_archive(str(folder.parent / folder.name), "zip", folder.parent, folder.name)
        shutil.move(made, target)
    return target


if __name__ == "__main__":
    print(write_zip(Path(sys.argv[1])))
