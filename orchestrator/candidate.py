"""The model that a sweep picked: where it lies, and what is known of it. Nothing is measured here."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from datasets.errors import UserError
from trainers import checkpoint
from trainers.config import TrainConfig


@dataclass(frozen=True)
class Candidate:
    """The model a sweep picked, with everything that is known of it."""

    sweep: dict[str, Any]
    row: dict[str, Any]
    folder: Path
    warm_folder: Path | None
    generator: nn.Module
    config: TrainConfig

    @property
    def default_model(self) -> str:
        """The registered name where none is given."""
        return registered_name(self.sweep["name"])


def registered_name(sweep: str) -> str:
    """upsweep-<sweep>: a sweep on other images has a champion of its own; demo-2 competes with demo."""
    return f"upsweep-{re.sub(r'-[0-9]+$', '', sweep)}"


def newest_sweep(storage: Path) -> str:
    """The name of the sweep in `storage` that ended last and picked a model; UserError where none did."""
    ended = [
        (sweep["ended"], path.parent.name)
        for path in storage.glob("*/sweep.json")
        if (sweep := json.loads(path.read_text()))["ended"] and sweep["pick"]
    ]
    if not ended:
        raise UserError(f"no finished sweep with a pick in {storage}; set --storage or run a sweep first")
    return max(ended)[1]


def find_candidate(storage: Path, name: str) -> Candidate:
    """The pick of sweep `name`; UserError where there is no such sweep, or it picked nothing."""
    folder = storage / name
    if not (folder / "sweep.json").exists():
        known = ", ".join(sorted(path.parent.name for path in storage.glob("*/sweep.json"))) or "none"
        raise UserError(f"no sweep '{name}' in {storage}; known: {known}")
    sweep = json.loads((folder / "sweep.json").read_text())
    if not sweep.get("pick"):
        raise UserError(f"sweep {name} picked no model ({sweep.get('pick_reason') or sweep['status']})")
    rows = json.loads((folder / "leaderboard.json").read_text())
    row = next((r for r in reversed(rows) if r["trial_id"] == sweep["pick"] and r["checkpoint"]), None)
    if row is None:
        raise UserError(f"the pick {sweep['pick']} of sweep {name} has no checkpoint in its leaderboard")
    path = _place(folder, row["checkpoint"])
    generator, config = checkpoint.load_generator(path)
    warm = folder / "trials" / row["trial_id"] / "warm"
    return Candidate(sweep, row, path, warm if warm.is_dir() else None, generator, config)


def _place(folder: Path, name: str) -> Path:
    """A checkpoint named in a row: absolute, or below the sweep's folder or the storage beside it."""
    places = (Path(name), folder / name, folder.parent / name)
    return next((place for place in places if (place / "manifest.json").exists()), places[0])
