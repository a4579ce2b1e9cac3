"""Where a command runs: an address, a Ray of this machine, a cluster started from here, or this machine.

Never `address="auto"`, which joins another process's private Ray and dies with it.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Protocol

from datasets.errors import UserError
from orchestrator.cluster import capacity, connect, known_clusters

WITHOUT_RAY = ("status", "stop", "dry_run")
"""Options of a sweep with which this process needs no cluster."""


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
        connect.check_listening(named)
    if options.local or named or env.get("UPSWEEP_LOCAL"):
        return None
    if own := started_here():
        env["RAY_ADDRESS"] = own
        return None
    found = known_clusters.latest()
    if found is None:
        return None
    from orchestrator.cluster.submit import submit_and_follow

    return submit_and_follow(found, script, options, list(words), say)


def started_here(folder: Path | None = None) -> str | None:
    """HOST:PORT of the Ray that `ray start` began on this machine; None where none answers."""
    note = (folder or Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray") / "ray_current_cluster"
    try:
        address = note.read_text().strip()
        connect.check_listening(address)
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
        return capacity.maximum(config).gpus > 0
    import torch

    return torch.cuda.is_available()
