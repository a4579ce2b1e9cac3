"""The provenance of a sweep: the commit, the changes on top of it, and the installed packages.

Read once at the start; stored in STORAGE/NAME/submission/ and in MLflow on the sweep's run.
"""

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from datasets.address import masked
from datasets.files import atomic_write, read_json
from orchestrator.storage import Storage

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: the folder that holds our four packages."""
PACKAGES = ("torch", "torchvision", "ray", "mlflow", "optuna", "webdataset", "numpy")
DIFF_LIMIT = 5_000_000
"""Characters; a longer patch (data added by accident) is cut, with a line that says so."""
PROVENANCE_FILE = ".submission.json"
"""File with the commit and changes of a copy without `.git` (orchestrator/cluster/bundle.py)."""


def commit(root: Path = ROOT) -> str:
    """Return the commit of the working tree, with + if it has changes; empty outside a checkout."""
    if (note := _read_note(root)) is not None:
        return note["commit"]
    head = git(root, "rev-parse", "--short=12", "HEAD").strip()
    return head + ("+" if head and diff(root) else "")


def diff(root: Path = ROOT) -> str:
    """Return a patch of the tracked files against the commit, and the names of Python files not in git."""
    if (note := _read_note(root)) is not None:
        return note["diff"]
    patch = masked(git(root, "diff", "HEAD", "--no-color", "--no-ext-diff", "--binary"))
    if len(patch) > DIFF_LIMIT:
        patch = f"{patch[:DIFF_LIMIT]}\n# cut: the patch has {len(patch)} characters\n"
    new = git(root, "ls-files", "--others", "--exclude-standard", "--", "*.py")
    return patch + "".join(f"# not in git: {name}\n" for name in new.splitlines())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def save_provenance(storage: Storage, sweep: str, folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write commit, patch, facts and all installed packages into the local `folder`; return it.

    A storage that is not local gets copies in NAME/submission.
    """
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower)
    files = {
        "commit.txt": commit() + "\n",
        "changes.diff": diff(),
        "packages.txt": "\n".join(installed) + "\n",
        "facts.json": json.dumps(facts, indent=1, sort_keys=True) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        atomic_write(folder / name, text.encode(), durable=False)
        if not storage.is_local:
            storage.write_text(f"{sweep}/submission/{name}", text)
    return folder


def _read_note(root: Path) -> dict[str, str] | None:
    return read_json(root / PROVENANCE_FILE) or None


def git(root: Path, *words: str) -> str:
    """Return the output of a git command in `root`; empty without git or outside a checkout."""
    command = ["git", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
