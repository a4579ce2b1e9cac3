"""What the driver does as the trials of a stage go: entries for MLflow and the progress line."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.results import outcome, row
from orchestrator.search.labels import design_of, label, settings_of
from orchestrator.sweep.tune_callback import StageCallback
from trainers.config import flatten, override
from trainers.objectives import Objectives

if TYPE_CHECKING:
    from orchestrator.sweep.stages import Sweep

from orchestrator.sweep.stage import Stage


class StageObserver:
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
        remarks = outcome.remarks(result, curve, sweep.objectives, sweep.bicubic)
        words = outcome.describe_outcome(self.stage.name, result, stopped_at, error, remarks)
        strip = f"{sweep.request.name}/trials/{own_id}/strip.png"
        picture = None
        if sweep.storage.exists(strip):
            picture = sweep.storage.fetch_file(strip, sweep.request.work_dir())
        spent = row.cost_of(result, sweep.gpus, sweep.request.price_per_gpu_hour)
        sweep.record.end_trial(
            self.stage.name, own_id, words, spent, picture, result.get("checkpoint"), failed=bool(error)
        )
        sweep.progress.end(trial_id)


def _in_words(metrics: Mapping[str, float], objectives: Objectives) -> str:
    perceptual, distortion = objectives.perceptual, objectives.distortion
    return f"{perceptual} {metrics[perceptual]:.4g} at {metrics[distortion]:.2f} dB"
