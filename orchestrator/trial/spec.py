"""What a trial is given: the settings its stage shares, its own design, and its rank."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.search.labels import settings_of
from orchestrator.trial.lineage import Lineage
from trainers.config import TrainConfig, from_flat, override


@dataclass(frozen=True)
class TrialSpec:
    """What every trial of a stage shares, small enough to travel with each of them."""

    sweep: str
    stage: str
    storage: str
    """Root of all sweeps."""
    work_dir: str
    """Where imported images and decoded copies live on a node."""
    base: dict[str, Any]
    """The flat config that a trial's own values replace."""
    digests: dict[str, str]
    """Digest of the images of each role, as the driver saw them."""
    designs: tuple[dict[str, Any], ...] = ()
    """For stages that run a list: the dotted values of each, with its trial_id."""
    threads: int = 0
    """CPU threads of a trial; 0 leaves torch's choice."""
    metrics: tuple[str, ...] = field(default=())
    """What is measured on val: both objectives first."""
    ranks: int = 1
    """Processes of a trial; if more than one, each has its own device (orchestrator/trial/distributed.py)."""
    gpus: float = 0.0
    """Of each rank."""


def identity(params: Mapping[str, Any], spec: TrialSpec) -> tuple[str, TrainConfig, Lineage]:
    """Return a trial's id, config and lineage, within the function that Tune calls with `params`."""
    values = dict(spec.designs[params["index"]]) if spec.designs else dict(params)
    trial_id = values.pop("trial_id", None) or f"{spec.stage}-{tune.get_context().get_trial_id()}"
    config = override(from_flat(spec.base), settings_of(values))
    return trial_id, config, Lineage.from_dict(values.get("lineage"))


def scratch_of(spec: TrialSpec, trial_id: str, rank: int = 0) -> Path:
    """Return a rank's folder on its node; ranks on one node must not fetch into each other's."""
    own = Path(spec.work_dir) / "scratch" / spec.sweep / trial_id
    return own / f"rank-{rank}" if rank else own
