"""Where a command runs: an address, a Ray of this machine, a cluster started from here, or this machine.

Never `address="auto"`, which joins another process's private Ray and dies with it.
"""

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from datasets.errors import UserError
from orchestrator import cluster, user_space
from orchestrator.remote import capacity
from orchestrator.remote import trace as traces

WITHOUT_RAY = ("status", "stop", "dry_run")
"""Options of a sweep with which this process needs no cluster."""
SPACES = "submitted"
"""Folder of the working tree on the cluster, for spaces from elsewhere."""
COPIED = ("report.html", "leaderboard.json", "sweep.json")


class Options(Protocol):
    """What a script's options must have to run elsewhere."""

    local: bool
    address: str
    storage: str
    tracking_uri: str


def elsewhere(
    script: str,
    options: Options,
    words: Sequence[str],
    env: MutableMapping[str, str] = os.environ,
    say: Callable[[str], None] = print,
) -> int | None:
    """Run `script` with `words` on the cluster that was started from here; its exit code.

    None where the command runs in this process: with --local, at an address, at a Ray that `ray start` began
    on this machine (RAY_ADDRESS then names it), or because there is no cluster; UPSWEEP_LOCAL looks for none.
    UserError where nothing listens at the address, before anything heavy is imported.
    """
    named = options.address or env.get("RAY_ADDRESS")
    if named and not options.local and not any(getattr(options, asks, "") for asks in WITHOUT_RAY):
        cluster.answers(named)
    if options.local or named or env.get("UPSWEEP_LOCAL"):
        return None
    if own := started_here():
        env["RAY_ADDRESS"] = own
        return None
    found = traces.find()
    if found is None:
        return None
    from orchestrator.remote.run import run

    return run(found, script, options, list(words), say)


def started_here(folder: Path | None = None) -> str | None:
    """HOST:PORT of the Ray that `ray start` began on this machine; None where none answers."""
    note = (folder or Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray") / "ray_current_cluster"
    try:
        address = note.read_text().strip()
        cluster.answers(address)
    except (OSError, UserError):
        return None  # left behind by a Ray that was killed
    return address


def defaults(words: Sequence[str], env: Mapping[str, str], gpu: Callable[[], bool]) -> tuple[list[str], str]:
    """The options that a bare command stands for, and what to say first.

    With prepared data (UPSWEEP_DATA) and a GPU that is the published recipe; otherwise the demo, which says
    so and names the real command.
    """
    decided = ("--recipe", "--train", "--space", "--resume", "--status", "--stop", "--help", "-h", "--data.")
    if any(word.startswith(decided) for word in words):
        return [], ""
    data = env.get("UPSWEEP_DATA", "").rstrip("/")
    real = f"--recipe srgan_8 --space full --train {data or 'DATA'}/celeba"
    if data and gpu():
        return real.split(), f"recipe srgan_8 over space full on {data}/celeba"
    missing = "UPSWEEP_DATA names no prepared data" if not data else "there is no GPU"
    return [], f"this is only the demo ({missing}); the real one: python experiments/sweep.py {real}"


def has_gpu() -> bool:
    """Whether the cluster of this job may have GPUs, or else whether this machine has one."""
    config = capacity.declared() if os.environ.get("RAY_ADDRESS") else None
    if config is not None:
        return capacity.at_most(config).gpus > 0
    import torch

    return torch.cuda.is_available()


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
    if not user_space.is_file(spec):
        return list(words), {}
    file = user_space.read(spec)
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
