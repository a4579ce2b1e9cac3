"""One stage of a sweep: what it runs, who its trials are, and what the driver does as they go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import leaderboard
from orchestrator.callback import StageCallback
from orchestrator.scheduler import Halving
from orchestrator.selection import Objectives
from orchestrator.space import design_of, label, settings_of
from trainers.config import flatten, override

if TYPE_CHECKING:
    from orchestrator.tuning import Sweep


@dataclass
class Stage:
    """What a stage needs beyond the sweep's own facts."""

    name: str
    designs: tuple[dict[str, Any], ...] = ()
    part: str = ""
    """What tells this part of the stage from its others."""
    scheduler: Halving | None = None

    @property
    def key(self) -> str:
        """Under which its trials and rows are kept."""
        return self.name + self.part

    def stopped_at(self, tune_id: str) -> int | None:
        """The rung that stopped a trial."""
        return self.scheduler.stopped.get(tune_id) if self.scheduler else None

    def over(self, tune_id: str, callback: StageCallback) -> bool:
        """Whether a trial ended in some way: at its end, at a rung, diverged or failed."""
        result = callback.results.get(tune_id, {})
        ended = any(result.get(k) for k in ("complete", "diverged", "failed"))
        return ended or tune_id in callback.errors or self.stopped_at(tune_id) is not None

    def identity(self, tune_id: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """A trial's own id and its values, from what Tune calls it and gave it."""
        if self.designs:
            values = dict(self.designs[params["index"]])
            return values.pop("trial_id"), values
        return f"{self.name}-{tune_id}", dict(params)


class StageView:
    """The driver's side of a stage: MLflow entries and the living line."""

    def __init__(self, sweep: "Sweep", stage: Stage) -> None:
        self.sweep, self.stage = sweep, stage
        self.params: dict[str, dict[str, Any]] = {}
        self.best: tuple[float, float] | None = None

    def resumed(self, callback: StageCallback) -> None:
        """Trials that ended before a restart count as done."""
        self.params |= callback.params
        for tune_id in callback.params:
            if self.stage.over(tune_id, callback):
                self.sweep.progress.end(tune_id)

    def started(self, trial_id: str, params: dict[str, Any]) -> None:
        """Its MLflow run begins."""
        self.params[trial_id] = params
        own_id, values = self.stage.identity(trial_id, params)
        config = flatten(override(self.sweep.request.config, settings_of(values)))
        self.sweep.record.start_trial(self.stage.name, own_id, label(design_of(values)), config)

    def reported(self, trial_id: str, result: dict[str, Any]) -> None:
        """Its entries go to the writer; the living line moves."""
        sweep, objectives = self.sweep, self.sweep.objectives
        sweep.record.append(result.get("journal", []))
        sweep.progress.step(trial_id, result["phase"], result["step"], result["seconds"])
        if any(result.get(ending) for ending in ("diverged", "failed", "yielded")):
            return
        point = objectives.point(result)
        if self.best is None or point[1] > self.best[1]:
            self.best = point
            best, bicubic = _in_words(result, objectives), _in_words(sweep.bicubic, objectives)
            sweep.progress.note = f"best {best} (bicubic {bicubic})"

    def ended(self, trial_id: str, result: dict[str, Any], curve: list[dict[str, Any]], error: str) -> None:
        """Verdict, picture, end of its run."""
        own_id, _ = self.stage.identity(trial_id, self.params.get(trial_id, {}))
        sweep, stopped_at = self.sweep, self.stage.stopped_at(trial_id)
        remarks = leaderboard.remarks(result, curve, sweep.objectives, sweep.bicubic)
        words = leaderboard.verdict(self.stage.name, result, stopped_at, error, remarks)
        strip = f"{sweep.request.name}/trials/{own_id}/strip.png"
        picture = None
        if sweep.storage.exists(strip):
            picture = sweep.storage.fetch_file(strip, sweep.request.work_dir())
        spent = leaderboard.spent(result, sweep.gpus, sweep.request.price_per_gpu_hour)
        sweep.record.end_trial(
            self.stage.name, own_id, words, spent, picture, result.get("checkpoint"), failed=bool(error)
        )
        sweep.progress.end(trial_id)


def _in_words(metrics: Mapping[str, float], objectives: Objectives) -> str:
    perceptual, distortion = objectives.perceptual, objectives.distortion
    return f"{perceptual} {metrics[perceptual]:.4g} at {metrics[distortion]:.2f} dB"
