"""The layout of a sweep's folder in its storage, and reading it."""

import json
import os
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.storage import Storage


def newest_sweep(storage: Storage) -> str:
    """The name of the sweep in `storage` that ended last and picked a model; UserError where none did."""
    sweeps = {name: _read(storage, name, "sweep.json") for name in sweep_names(storage)}
    ended = [(facts["ended"], name) for name, facts in sweeps.items() if facts["ended"] and facts["pick"]]
    if not ended:
        raise UserError(
            f"no finished sweep with a pick in {storage.root}; set --storage or run a sweep first"
        )
    return max(ended)[1]


def sweep_names(storage: Storage) -> list[str]:
    """All sweeps of a storage."""
    return [name for name in storage.names() if storage.exists(f"{name}/sweep.json")]


def read_sweep(storage: Storage, name: str) -> dict[str, Any]:
    """sweep.json of a sweep; UserError where there is none."""
    if not storage.exists(f"{name}/sweep.json"):
        known = ", ".join(sweep_names(storage)) or "none"
        raise UserError(f"no sweep '{name}' in {storage.root}; known: {known}")
    return _read(storage, name, "sweep.json")


def _read(storage: Storage, name: str, part: str) -> Any:
    return json.loads(storage.read_text(f"{name}/{part}"))


def read_facts(storage: Storage, name: str) -> dict[str, Any]:
    """sweep.json of a sweep; UserError where there is none."""
    if not storage.exists(f"{name}/sweep.json"):
        raise UserError(f"no sweep '{name}' in {storage.root}; start it with --name {name}")
    return json.loads(storage.read_text(f"{name}/sweep.json"))


def work_dir(storage: str) -> Path:
    """Return this machine's folder for imported images and local copies.

    It is `storage` itself if that is a folder; for a URL it is the environment's UPSWEEP_WORK_DIR, or ./runs.
    """
    own = os.environ.get("UPSWEEP_WORK_DIR", "./runs")
    return Path(own if "://" in storage else storage).expanduser().resolve()
