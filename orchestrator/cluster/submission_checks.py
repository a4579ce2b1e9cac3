"""Checks before a command is sent to a cluster: data, storage, and space files that must travel."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.search import space_file

SPACES = "submitted"
"""Folder of the working tree on the cluster, for spaces from elsewhere."""
COPIED = ("report.html", "leaderboard.json", "sweep.json")


def progress(text: str) -> None:
    """What a remote command prints, as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def check_data(named: Mapping[str, str], is_there: Callable[[str], bool], bucket: str) -> None:
    """UserError for images that only this machine has, with the command that brings them to the storage."""
    for role, spec in named.items():
        known = "://" in spec or "/" not in spec and not Path(spec).exists()
        if known or (spec.startswith("/") and is_there(spec)):
            continue
        target = f"{bucket.rpartition('/')[0] or bucket}/data/{Path(spec).name}"
        raise UserError(
            f"--{role} {spec} lies on this machine and the cluster cannot read it; bring it there with "
            f"python experiments/prepare_data.py folder --source {spec} --out {target} and name "
            f"--{role} {target}"
        )


def own_space(words: Sequence[str], spec: str) -> tuple[list[str], dict[str, str]]:
    """The words with a space file of the user's own under the name that it has on the cluster, and its text.

    It may lie anywhere, also where `.gitignore` hides it. UserError where there is none, or no space in it.
    """
    if not space_file.is_file(spec):
        return list(words), {}
    file = space_file.read(spec)
    file.space()  # a mistake in it is said here, not minutes later by the cluster
    path, colon, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    there = f"{SPACES}/{Path(path).name}"
    moved = {spec: there + colon + name, f"--space={spec}": f"--space={there}{colon}{name}"}
    return [moved.get(word, word) for word in words], {there: file.text}


def check_storage(given: str, env_storage: str) -> str:
    """The storage of a remote command: as given, else the cluster's own. UserError for a local one."""
    if given == "./runs":
        if not env_storage or "CHANGE-ME" in env_storage:
            raise UserError(
                "the cluster has no storage: name a bucket or shared folder in UPSWEEP_STORAGE of its "
                "cluster file and run ray up again, or give --storage s3://BUCKET/upsweep"
            )
        return env_storage
    if "://" not in given and not given.startswith("/"):
        raise UserError(
            f"--storage {given} is a folder of this machine; the cluster needs a URL, or the absolute "
            f"path of a folder that its machines share"
        )
    return given


def named_data(options: Any) -> dict[str, str]:
    """Role -> what the options name for it."""
    return {r: getattr(options, r, "") for r in ("train", "val", "test") if getattr(options, r, "")}
