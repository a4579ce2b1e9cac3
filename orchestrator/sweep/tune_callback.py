"""Tune's callback of a stage: it remembers what trials reported, and saves the scheduler's state.

Tune saves searchers and callbacks but not schedulers, so a resumed sweep would rank against empty rungs.
The callback owns a reference to the scheduler (the two are pickled together) and saves its state.
"""

from dataclasses import replace
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from datasets.errors import UserError, disk_trouble
from orchestrator.results.pages import PagedPickle
from orchestrator.results.row import Row
from orchestrator.results.trial_report import TrialReport, Usage
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.search.hooks import StageHooks, hooks_of

OF_A_TRIAL = ("reports", "curves", "params", "attempts", "rows")
STATE = (*OF_A_TRIAL, "errors")


class StageCallback(Callback):
    """The callback of one stage; `key` names the stage's hooks."""

    def __init__(self, key: str, scheduler: SuccessiveHalving | None = None) -> None:
        self.key, self.scheduler = key, scheduler
        self.reports: dict[str, TrialReport] = {}
        """Tune's trial id -> its newest report, without the journal and with the time of all attempts."""
        self.curves: dict[str, list[dict[str, Any]]] = {}
        """Tune's trial id -> phase, step and metrics of each evaluation."""
        self.errors: dict[str, str] = {}
        self.params: dict[str, dict[str, Any]] = {}
        self.attempts: dict[str, dict[str, Usage]] = {}
        """Tune's trial id -> attempt -> time it had taken at its last report."""
        self.rows: dict[str, Row] = {}
        """Tune's trial id -> its row of the leaderboard, once it has ended."""
        self.cuda_seconds = 0.0
        """Seconds of all trials on GPUs so far."""
        self.pages = PagedPickle("trials")
        """(Tune's trial id, what is known of it) of each final trial, and ("", event) of each event."""
        self.final: set[str] = set()
        """Tune's ids of the trials in `pages`."""
        self.paged_events = 0
        """Events of the scheduler that are final in `pages`: all that were there at the last snapshot."""
        self.restored = self.must_restore = False

    @property
    def hooks(self) -> StageHooks:
        """The driver's side of the stage."""
        hooks = hooks_of(self.key)
        assert hooks is not None, f"no stage {self.key} runs in this process"
        return hooks

    def stopped_at(self, tune_id: str) -> int | None:
        """Return the rung that stopped a trial, or None."""
        return self.scheduler.stopped.get(tune_id) if self.scheduler else None

    def is_over(self, tune_id: str) -> bool:
        """Return True if a trial is complete, stopped at a rung, diverged or failed by its own fault."""
        report, error = self.reports.get(tune_id), self.errors.get(tune_id, "")
        final = report is not None and report.status.ends_trial and not report.machine_fault
        return final or bool(error and not disk_trouble(error)) or self.stopped_at(tune_id) is not None

    def setup(self, *args: Any, **info: Any) -> None:
        """Prepare for the stage; Tune calls this before the first trial, and after `set_state` on a resume.

        On a resume, tell the stage's hooks which trials are over. UserError if a resumed stage has no state,
        because its snapshot could not be read: Tune itself would log a warning and repeat the whole stage.
        """
        if self.must_restore and not self.restored:
            raise UserError(
                f"the state of stage {self.key} could not be read, and starting over would lose finished "
                f"trials; restore its folder tune/ from a copy, or start the sweep under another --name"
            )
        if self.restored:
            self.hooks.on_resume([t for t in self.params if self.is_over(t)])

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Remember the parameters; a resumed sweep gives a failed trial another chance."""
        self.params[trial.trial_id] = dict(trial.config)
        self.errors.pop(trial.trial_id, None)
        self.hooks.on_start(trial.trial_id, dict(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        """Keep the report and the curve; a new evaluation resets the count of failures."""
        report, tune_id = TrialReport.from_result(result), trial.trial_id
        attempts = self.attempts.setdefault(tune_id, {})
        attempts[report.attempt] = report.attempt_usage  # a retry repeats work that was paid for already
        before = self.reports.get(tune_id, TrialReport())
        report = replace(report, journal=(), usage=sum(attempts.values(), Usage()))
        self.reports[tune_id] = report
        self.cuda_seconds += _cuda_seconds(report) - _cuda_seconds(before)
        curve = self.curves.setdefault(tune_id, [])
        if report.latest and (report.phase, report.step) not in [(c["phase"], c["step"]) for c in curve]:
            curve.append({**report.latest, "phase": report.phase, "step": report.step})
            # it never got so far: machines that come and go may take it any number of times
            trial.run_metadata.num_failures = 0
        self.hooks.on_report(tune_id, result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Make the row of a trial that finished or was stopped at a rung."""
        tune_id = trial.trial_id
        self.rows[tune_id] = self.hooks.on_end(tune_id)
        known = {name: of_all[tune_id] for name in OF_A_TRIAL if tune_id in (of_all := getattr(self, name))}
        self.pages.add((tune_id, known))
        self.final.add(tune_id)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Make the row of a trial that failed too often without a new evaluation in between."""
        lines = [line for line in str(trial.get_error() or "").splitlines() if line.strip()]
        self.errors[trial.trial_id] = lines[-1].strip() if lines else "no reason was recorded"
        self.rows[trial.trial_id] = self.hooks.on_end(trial.trial_id)

    def get_state(self) -> dict[str, Any]:
        """Return what a resumed driver needs beside Tune's own snapshot."""
        events = self.scheduler.events if self.scheduler else []
        for event in events[self.paged_events :]:
            self.pages.add(("", event))
        self.paged_events = len(events)
        hooks = hooks_of(self.key)
        live = [tune_id for tune_id in self.params if tune_id not in self.final]
        parts = {name: getattr(self, name) for name in STATE}
        state = {name: {t: part[t] for t in live if t in part} for name, part in parts.items()}
        drawn = " ".join(self.params)
        return {"paged": self.pages.dumps((drawn, state), hooks.write_page if hooks else None)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state. Tune calls this before it adds any trial; nothing may reset it afterwards."""
        hooks = hooks_of(self.key)
        drawn, live = self.pages.loads(state["paged"], hooks.read_page if hooks else None)
        final = {tune_id: known for tune_id, known in self.pages.objects if tune_id}
        for name in STATE:
            ended = {tune_id: known[name] for tune_id, known in final.items() if name in known}
            setattr(self, name, ended | live[name])
        self.params = {tune_id: self.params[tune_id] for tune_id in drawn.split()}
        self.final = set(final)
        self.cuda_seconds = sum(map(_cuda_seconds, self.reports.values()))
        if self.scheduler is not None:
            events = [event for tune_id, event in self.pages.objects if not tune_id]
            self.scheduler.replay(events)
            self.paged_events = len(events)
        self.restored = True


def _cuda_seconds(report: TrialReport) -> float:
    return report.usage.seconds if report.device == "cuda" else 0.0
