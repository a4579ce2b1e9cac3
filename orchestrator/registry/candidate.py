"""The model that is to be promoted: the pick of a sweep, the network of a run, or a checkpoint folder.

Where it lies and what is known of it; nothing is measured here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from torch import nn

from datasets.errors import UserError
from orchestrator.results.sweep_folder import read_facts, read_rows
from orchestrator.storage import MARKER, Storage
from orchestrator.tracking.writer import KEY_TAG
from trainers import checkpoint
from trainers.config import TrainConfig

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A network with everything that is known of it."""

    sweep: dict[str, Any]
    row: Row
    generator: nn.Module
    config: TrainConfig
    warm_generator: nn.Module | None
    """What its GAN phase started from, where that was kept."""

    @property
    def default_model(self) -> str:
        """The registered name where none is given."""
        return registered_name(self.sweep["name"])


def registered_name(sweep: str) -> str:
    """upsweep-<sweep>: a sweep on other images has a champion of its own; demo-2 competes with demo."""
    return f"upsweep-{re.sub(r'-[0-9]+$', '', sweep)}"


def find_candidate(storage: Storage, name: str, work_dir: Path) -> Candidate:
    """The pick of sweep `name`; UserError where there is no such sweep, or it picked nothing."""
    sweep = read_facts(storage, name)
    if not sweep.get("pick"):
        raise UserError(f"sweep {name} picked no model ({sweep.get('pick_reason') or sweep['status']})")
    return _of_row(storage, sweep, lambda row: row["trial_id"] == sweep["pick"], work_dir)


def candidate_of_run(storage: Storage, client: MlflowClient, run_id: str, work_dir: Path) -> Candidate:
    """The network of one MLflow run of a sweep; UserError where the run is no trial of one."""
    try:
        key = client.get_run(run_id).data.tags.get(KEY_TAG, "")
    except MlflowException as error:
        raise UserError(f"no MLflow run {run_id}: {error}") from None
    if key.count("/") != 2:
        raise UserError(f"MLflow run {run_id} is no trial of a sweep; set --run to one that is")
    name, stage, trial_id = key.split("/")
    sweep = read_facts(storage, name)
    return _of_row(storage, sweep, lambda r: (r["stage"], r["trial_id"]) == (stage, trial_id), work_dir)


def candidate_of_folder(folder: Path) -> Candidate:
    """The network in a checkpoint folder, whatever trained it; UserError where it cannot be loaded."""
    generator, config = checkpoint.load_generator(folder)
    facts: dict[str, Any] = {"name": folder.name, "recipe": config.recipe, "experiment": "upsweep/promotions"}
    facts |= {"tracking_uri": "", "command": "", "commit": "", "gpu_hours": "unknown", "data": {}}
    row: Row = {"trial_id": str(folder), "design": folder.name, "seed": config.run.seed}
    row |= {"steps": "unknown", "max_steps": config.run.gan_steps}
    return Candidate(facts, row, generator, config, None)


def _of_row(
    storage: Storage, sweep: dict[str, Any], wanted: Callable[[Row], bool], work_dir: Path
) -> Candidate:
    """The network of the last row that is `wanted`: test rows follow those they measure."""
    name, rows = sweep["name"], read_rows(storage, sweep["name"])
    row = next((r for r in reversed(rows) if wanted(r) and r["checkpoint"]), None)
    if row is None:
        raise UserError(f"what sweep {name} is to promote has no checkpoint in its leaderboard")
    scratch = work_dir / "scratch"
    generator, config = checkpoint.load_generator(_fetch(storage, name, row["checkpoint"], scratch))
    warm = f"{name}/trials/{row['trial_id']}/warm"
    kept = storage.exists(f"{warm}/{MARKER}")
    started = checkpoint.load_generator(storage.fetch(warm, scratch))[0] if kept else None
    return Candidate(sweep, row, generator, config, started)


def _fetch(storage: Storage, sweep: str, place: str, scratch: Path) -> Path:
    """A local folder with a checkpoint named in a row: by its place below the sweep, so that a storage that
    was moved or copied still works; else the path itself."""
    name = f"{sweep}/trials/{place.rpartition(f'{sweep}/trials/')[2]}"
    return storage.fetch(name, scratch) if storage.exists(f"{name}/{MARKER}") else Path(place)
