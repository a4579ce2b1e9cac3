"""Driver events of a stage: each one writes to MLflow, the progress line and the leaderboard rows."""

from collections.abc import Mapping
from typing import Any

from datasets.errors import UserError, disk_trouble
from orchestrator.results.labels import design_of, label, settings_of
from orchestrator.results.leaderboard import use_best_checkpoint
from orchestrator.results.outcome import reached_at
from orchestrator.results.row import EndedTrial, Row, make_row
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.search.study_export import StudyExport
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.tune_callback import StageCallback
from orchestrator.trial.spec import Lineage
from trainers.config import flatten, override
from trainers.objectives import Objectives


class StageObserver:
    """The hooks of one stage (search/hooks.py), in the driver's process."""

    def __init__(self, context: SweepContext, stage: Stage, callback: StageCallback) -> None:
        self.context, self.stage, self.callback = context, stage, callback
        self.study_export = StudyExport(context.storage, context.request.name)
        self.fault: Exception | None = None
        """The reason why trials fail one after the other on a machine; None if they do not."""

    def slots(self) -> int:
        """Return how many trials run at once now; raise what ends the stage, if anything does."""
        self.check()
        return self.context.slots()

    def check(self) -> None:
        """Raise the fault of a machine, if there is one: the sweep would fail one trial after the other.

        Raises:
            UserError: its device cannot be used.
            OSError: a disk is full or cannot be written.
        """
        if self.fault is not None:
            raise self.fault

    def on_resume(self, ended: list[str]) -> None:
        """Count trials that ended before the restart as done, and show the best run of the stage again."""
        for tune_id in ended:
            self.context.progress.end(tune_id)
        for report in self.callback.reports.values():
            self._note(report)
        for row in self.callback.rows.values():
            self._note_confirmed(row)

    def on_start(self, tune_id: str, params: dict[str, Any]) -> None:
        """Start the trial's MLflow run."""
        trial_id, values = self.stage.identity(tune_id, params)
        config = flatten(override(self.context.request.config, settings_of(values)))
        if self.stage.draws:
            self.context.progress.expect(len(self.callback.params))
        self.context.record.start_trial(self.stage.name, trial_id, label(design_of(values)), config)

    def on_report(self, tune_id: str, result: dict[str, Any]) -> None:
        """Hand the journal on to MLflow's writer and move the progress line."""
        report, context = TrialReport.from_result(result), self.context
        context.record.append(report.journal)
        if report.machine_fault:
            advice = f"{report.reason}; the sweep can be resumed once that is repaired"
            self.fault = OSError(report.reason) if disk_trouble(report.reason) else UserError(advice)
        context.progress.step(tune_id, report.phase, report.step, report.usage.seconds)
        self._note(report)

    def _note(self, report: TrialReport) -> None:
        if report.status in (Status.RUNNING, Status.COMPLETE) and self.stage.name != "confirm":
            start = report.warm_start or self.context.bicubic
            self._note_if_best(self.context.objectives.order(report.ranked, start), report.ranked)

    def _note_confirmed(self, row: Row) -> None:
        if self.stage.name == "confirm" and row["finished"] and not row["diverged"]:
            order = self.context.objectives.order(row["metrics"], row["metrics"], "warm/")
            self._note_if_best(order, row["metrics"])

    def _note_if_best(self, order: tuple[bool, float, float], metrics: Mapping[str, float]) -> None:
        """Show the best of the stage beside its progress; a confirmed run counts by its best checkpoint."""
        progress, objectives = self.context.progress, self.context.objectives
        if progress.best is None or order < progress.best:
            progress.best = order
            best, bicubic = _in_words(metrics, objectives), _in_words(self.context.bicubic, objectives)
            progress.note = f"stage's best {best} (bicubic {bicubic})"

    def on_end(self, tune_id: str) -> Row:
        """Make the trial's row, and end its MLflow run with verdict, cost and picture."""
        context, callback = self.context, self.callback
        trial_id, values = self.stage.identity(tune_id, callback.params[tune_id])
        lineage, strip = values.get("lineage"), context.path(f"trials/{trial_id}/strip.png")
        drawn = context.storage.exists(strip)
        config = override(context.request.config, settings_of(values))
        ended = EndedTrial(
            stage=self.stage.name,
            trial_id=trial_id,
            design=label(design_of(values)) + Lineage.from_dict(lineage).describe(),
            values=settings_of(values),
            config=flatten(config),
            report=callback.reports.get(tune_id, TrialReport()),
            curve=callback.curves.get(tune_id, []),
            stopped_at=callback.stopped_at(tune_id),
            error=callback.errors.get(tune_id, ""),
            lineage=lineage,
            strip=context.storage.url(strip) if drawn else None,
            warm=context.warm_start_of(self.stage.name, config),
        )
        if disk_trouble(ended.error):  # the trial is sound: a resumed sweep runs it again
            self.fault = OSError(ended.error)
        row = make_row(ended, context.row_context)
        if context.clock:
            context.clock.learn([row])
        picture = context.storage.fetch_file(strip, context.request.work_dir) if drawn else None
        if self.stage.name == "confirm":
            row = use_best_checkpoint(row, context.objectives)
        self._note_confirmed(row)
        cost = {k: row[k] for k in ("gpu_hours", "cpu_hours", "cost")}  # type: ignore[literal-required]
        metrics = context.row_context.metrics
        step = row.get("chosen_step") or reached_at(ended.report, ended.curve, metrics[:2])
        best = {m: row["metrics"][m] for m in metrics if m in row["metrics"] and not row["diverged"]}
        context.record.end_trial(
            row["stage"],
            trial_id,
            row["verdict"],
            cost,
            picture,
            row["checkpoint"],
            failed=bool(ended.error),
            best=(step, best),
        )
        context.progress.end(tune_id)
        context.ended[trial_id] = row
        return row

    def on_search_saved(self, study: Any) -> None:
        """Export the study for optuna-dashboard, now and then."""
        self.study_export(study)

    def write_page(self, name: str, content: bytes) -> None:
        """Store a part of the stage's state that is final."""
        self.context.storage.write_bytes(self._page(name), content)

    def read_page(self, name: str) -> bytes:
        """Return the part `name` of the stage's state; FileNotFoundError if there is none."""
        return self.context.storage.read_bytes(self._page(name))

    def _page(self, name: str) -> str:
        return self.context.path(f"tune/{self.stage.key}.pages/{name}")

    def is_budget_spent(self, drawn: int) -> bool:
        """Return True if no more than `drawn` designs may be drawn; print why if more were planned."""
        gpu_hours = self.callback.cuda_seconds / 3600 * self.context.gpus
        spent = self.context.is_budget_spent(gpu_hours, drawn)
        if spent:
            limit = self.context.budget.reached
            why = f"{limit} are reached" if limit else "the stages after it need the time that is left"
            self.context.progress.expect(drawn, why)
        return spent


def _in_words(metrics: Mapping[str, float], objectives: Objectives) -> str:
    perceptual, distortion = objectives.perceptual, objectives.distortion
    return f"{perceptual} {metrics[perceptual]:.4g} at {metrics[distortion]:.2f} dB"
