"""The specification of a trial: the settings that its stage shares, and its own id, design and lineage."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from orchestrator.results.labels import settings_of
from orchestrator.trial.warm_starts import Ancestor
from trainers.config import TrainConfig, from_flat, override


@dataclass(frozen=True)
class Lineage:
    """The checkpoint that a trial's network resumes, and the settings of each segment of steps.

    Most trials have one segment, from the warm start to the end of the GAN phase. Population based training
    makes more segments: a member's settings change when it takes over another member's network. Plain data;
    a design carries it as a dict under the key "lineage".
    """

    segments: tuple[tuple[int, dict[str, Any]], ...] = ((0, {}),)
    """(first step, settings that hold from that step on)."""
    parent: str = ""
    """URL of the checkpoint to resume from; empty: the warm start."""
    start_step: int = 0
    """Step of that checkpoint."""
    end_step: int = 0
    """Step after which the trial ends; 0: the end of the phase."""

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any] | None) -> "Lineage":
        """Return the inverse of `to_dict`; None gives the lineage of most trials."""
        if plain is None:
            return cls()
        segments = tuple((int(step), dict(settings)) for step, settings in plain["segments"])
        return cls(**{**plain, "segments": segments})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"segments": [[step, dict(settings)] for step, settings in self.segments]}

    def remaining(self, step: int, steps: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield (settings, last step) of the segments that are left of a phase of `steps` at `step`."""
        end = self.end_step or steps
        ends = [first for first, _ in self.segments[1:]] + [end]
        for (_, settings), last in zip(self.segments, ends, strict=True):
            if last > step or last == end:
                yield settings, min(last, end)

    def describe(self) -> str:
        """Return the steps at which the settings changed, to follow a design's name; empty if none."""
        steps = ", ".join(str(first) for first, _ in self.segments[1:])
        return f" (changed at {steps})" if steps else ""


@dataclass(frozen=True)
class TrialSpec:
    """The settings that all trials of a stage share; small, because each trial is sent a copy."""

    sweep: str
    stage: str
    storage: str
    """Root of all sweeps."""
    work_dir: str
    """Folder of imported images and decoded copies on each node."""
    base: dict[str, Any]
    """The flat config that a trial's own values replace."""
    digests: dict[str, str]
    """Digest of the images of each role, as the driver saw them."""
    designs: tuple[dict[str, Any], ...] = ()
    """Dotted values and trial_id of each design, if the stage runs a list of designs."""
    threads: int = 0
    """CPU threads of a trial; 0 leaves torch's choice."""
    compile_threads: int = 1
    """Processes in which a trial compiles kernels if run.compile is set: its part of the cores."""
    metrics: tuple[str, ...] = field(default=())
    """Metrics measured on val: both objectives first."""
    least: float = -math.inf
    """Signed distortion below which no network is feasible (Objectives.least)."""
    bicubic: dict[str, float] = field(default_factory=dict)
    """Metrics of bicubic upscaling on val, which is what to beat where there is no warm start."""
    ancestor: Ancestor | None = None
    """The architecture with whose network the PSNR phases of others begin, if there is one."""
    start: str = ""
    """Storage name of the checkpoint that run.start_from stands for; empty if it names none."""
    ranks: int = 1
    """Processes of a trial; if more than one, each has its own device (orchestrator/trial/distributed.py)."""
    gpus: float = 0.0
    """GPUs of each rank."""


def identity(params: Mapping[str, Any], spec: TrialSpec) -> tuple[str, TrainConfig, Lineage]:
    """Return a trial's id, config and lineage, within the function that Tune calls with `params`."""
    values = dict(spec.designs[params["index"]]) if spec.designs else dict(params)
    trial_id = values.pop("trial_id", None) or f"{spec.stage}-{tune.get_context().get_trial_id()}"
    config = override(from_flat(spec.base), settings_of(values))
    return trial_id, config, Lineage.from_dict(values.get("lineage"))


def scratch_of(spec: TrialSpec, trial_id: str, rank: int = 0) -> Path:
    """Return a rank's folder on its node; ranks on one node must not fetch into each other's."""
    folder = Path(spec.work_dir) / "scratch" / spec.sweep / trial_id
    return folder / f"rank-{rank}" if rank else folder
