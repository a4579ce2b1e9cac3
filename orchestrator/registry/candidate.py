"""The model that is to be promoted: the pick of a sweep, the network of a run, or a checkpoint folder.

Candidates are loaded here with their settings and origin; nothing is measured.
"""

import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from torch import nn

from datasets.errors import UserError
from orchestrator.registry.candidate_source import why_no_gan
from orchestrator.results.sweep_folder import check_has_pick, checkpoint_url, read_facts, read_rows
from orchestrator.storage import MARKER, Storage
from orchestrator.tracking.run_key import experiment_name, split_run_key
from orchestrator.tracking.writer import KEY_TAG
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.train import checkpoint_in

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A network with its origin."""

    sweep: dict[str, Any]
    """sweep.json; of a checkpoint folder only what is known."""
    row: Row
    """The network's row of the leaderboard; of a checkpoint folder only what is known."""
    config: TrainConfig  # stays before the networks: pickle needs the user's file with their class first
    generator: nn.Module
    warm_generator: nn.Module | None
    """The network that its GAN phase started from, if it was stored."""

    @property
    def why_no_gan(self) -> str:
        """The reason why the sweep picked this PSNR network and no GAN; empty for any other network."""
        return why_no_gan(self.sweep, self.row["trial_id"])


def registered_name(sweep: str) -> str:
    """Return upsweep-<sweep> without a trailing number: demo-2 competes with demo, other images do not."""
    return f"upsweep-{re.sub(r'-[0-9]+$', '', sweep)}"


def find_candidate(storage: Storage, name: str, work_dir: Path) -> Candidate:
    """Load the pick of sweep `name`; UserError if there is no such sweep or it picked no model."""
    sweep = read_facts(storage, name)
    check_has_pick(sweep)
    return _of_row(storage, sweep, lambda row: row["trial_id"] == sweep["pick"], work_dir)


def candidate_of_run(storage: Storage, client: MlflowClient, run_id: str, work_dir: Path) -> Candidate:
    """Load the network of one MLflow run; UserError if the run does not exist or is not a sweep's trial."""
    try:
        key = client.get_run(run_id).data.tags.get(KEY_TAG, "")
    except MlflowException as error:
        raise UserError(f"no MLflow run {run_id}: {error}") from None
    try:
        name, stage, trial_id = split_run_key(key)
    except ValueError:
        raise UserError(
            f"MLflow run {run_id} is not a trial of a sweep; set --run to a run that is one"
        ) from None
    sweep = read_facts(storage, name)
    return _of_row(storage, sweep, lambda r: (r["stage"], r["trial_id"]) == (stage, trial_id), work_dir)


def candidate_of_folder(folder: Path) -> Candidate:
    """Load the network of a run's folder or of a checkpoint's; UserError if it cannot be loaded."""
    place = checkpoint_in(folder)
    generator, config = checkpoint.load_generator(place)
    sweep: dict[str, Any] = {"name": folder.name, "recipe": config.recipe}
    sweep |= {"experiment": experiment_name("promotions"), "tracking_uri": ""}
    sweep |= {"command": "", "commit": "", "data": {}}
    row = {"trial_id": str(place), "design": folder.name, "seed": config.run.seed}
    return Candidate(sweep, row | _steps(place), config, generator, None)


def _steps(folder: Path) -> Row:
    """Return {"steps": generator updates of the checkpoint's phase}, or {} if they are not stored."""
    facts, state = checkpoint.read_extra(folder), folder / "state.pt"
    if state.is_file():  # a checkpoint to resume from; its extra.json has no step
        with suppress(pickle.UnpicklingError, RuntimeError):  # not a state of ours: the step is unknown
            facts = torch.load(state, map_location="cpu", weights_only=True, mmap=True)
    return {"steps": facts["step"]} if "step" in facts else {}


def _of_row(
    storage: Storage, sweep: dict[str, Any], wanted: Callable[[Row], bool], work_dir: Path
) -> Candidate:
    """Load the network of the last row that is `wanted`: a trial's test row follows its confirm row."""
    name = sweep["name"]
    rows = reversed(read_rows(storage, name))
    row = next((r for r in rows if wanted(r) and r["checkpoint"]), None)
    if row is None:
        raise UserError(
            f"this run of sweep {name} has no checkpoint and cannot be promoted; choose one that the report "
            f"lists, with --run"
        )
    scratch = work_dir / "scratch"
    generator, config = checkpoint.load_generator(_fetch(storage, name, row["checkpoint"], scratch))
    warm = row.get("warm") or ""
    stored = bool(warm) and storage.exists(f"{warm}/{MARKER}")
    warm_generator = checkpoint.load_generator(storage.fetch(warm, scratch))[0] if stored else None
    return Candidate(sweep, row, config, generator, warm_generator)


def _fetch(storage: Storage, sweep: str, place: str, scratch: Path) -> Path:
    """Return a local folder with the checkpoint `place` of a row; if it is not there, `place` itself."""
    if storage.exists(f"{place}/{MARKER}"):  # a PSNR network, which the storage keeps for all sweeps
        return storage.fetch(place, scratch)
    name = storage.name_of(checkpoint_url(storage, sweep, place))
    return storage.fetch(name, scratch) if storage.exists(f"{name}/{MARKER}") else Path(place)
