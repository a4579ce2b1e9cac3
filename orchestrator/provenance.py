"""What a sweep was started from: the commit, the changes on top of it, the machine and the packages.

Read once at the start; kept under STORAGE/NAME/submission/ and in MLflow on the sweep's run.
"""

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from orchestrator.storage import Storage

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
PACKAGES = ("torch", "torchvision", "ray", "mlflow", "optuna", "webdataset", "numpy")
DIFF_LIMIT = 5_000_000
"""Characters; a larger change (data added by accident) is cut, with a line that says so."""
PROVENANCE_FILE = ".submission.json"
"""What a copy of the working tree without `.git` says about itself (orchestrator/cluster/bundle.py)."""


def commit(root: Path = ROOT) -> str:
    """The commit of the working tree, with + where it has changes; empty outside a checkout."""
    if (note := _read_note(root)) is not None:
        return note["commit"]
    head = _git(root, "rev-parse", "--short=12", "HEAD").strip()
    return head + ("+" if head and diff(root) else "")


def diff(root: Path = ROOT) -> str:
    """The tracked files' changes against the commit as a patch, and the names of files git does not know."""
    if (note := _read_note(root)) is not None:
        return note["diff"]
    patch = _git(root, "diff", "HEAD", "--no-color", "--no-ext-diff", "--binary")
    if len(patch) > DIFF_LIMIT:
        patch = f"{patch[:DIFF_LIMIT]}\n# cut: the patch has {len(patch)} characters\n"
    new = _git(root, "ls-files", "--others", "--exclude-standard", "--", "*.py")
    return patch + "".join(f"# not in git: {name}\n" for name in new.splitlines())


def versions() -> dict[str, str]:
    """The packages that decide results, and Python."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def save_provenance(storage: Storage, sweep: str, folder: Path, facts: Mapping[str, Any]) -> Path:
    """Keep commit, patch, facts and all installed packages; returns a local folder with the files.

    `folder` is that local folder; on a local storage it is STORAGE/NAME/submission itself.
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
        (folder / name).write_text(text)
        if not storage.is_local:
            storage.write_text(f"{sweep}/submission/{name}", text)
    return folder


def _read_note(root: Path) -> dict[str, str] | None:
    return json.loads((root / PROVENANCE_FILE).read_text()) if (root / PROVENANCE_FILE).exists() else None


def _git(root: Path, *words: str) -> str:
    """What git answers; nothing where there is no git, or no checkout."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, errors="replace"
        )
    except OSError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""
