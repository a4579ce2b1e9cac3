"""The training loop's monitors inside a Ray Tune trial: reports, checkpoints, the journal, pictures.

Checkpoints are stored under STORAGE/NAME/trials/ID/attempt-*/; Tune carries only a pointer to them.
"""

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from orchestrator.results import image_strips
from orchestrator.results.trial_report import Status, TrialReport, Usage
from orchestrator.tracking.journal import Journal
from orchestrator.tracking.run_key import run_key
from orchestrator.trial.context import TrialContext
from orchestrator.trial.totals import ShareMeans, UsageMeter
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.device import describe_device, release_memory
from trainers.monitor import SilentMonitor
from trainers.objectives import Objectives
from trainers.state import Diverged, History, TrainState

KEEP_SECONDS = 300.0
"""Checkpoints before the newest two are kept this long: Tune's snapshot may be older than the last report, so
a resumed driver may ask for one of them."""
DIAGNOSTICS = ("data_wait_share", "d_accuracy")


class TrialMonitor:
    """Reports one trial to Ray Tune and stores its checkpoints; the monitor of its first rank."""

    def __init__(self, context: TrialContext) -> None:
        self.context = context
        self.config = context.config
        """Settings of the present segment, which checkpoints hold."""
        self.usage = UsageMeter(context.rank.ranks)
        # An attempt that lost its driver may still run; its own folder keeps it from the replacement's files.
        self.attempt = f"attempt-{uuid.uuid4().hex[:8]}"
        self.hardware = describe_device(context.rank.device)
        self.pointer = ""
        """Name of the newest checkpoint."""
        self._pointer_reported = True
        self._saved: list[tuple[str, float]] = []
        self._dropped: list[tuple[str, float]] = []
        self._diagnostics: dict[str, float] = {}
        self.shares = ShareMeans()
        self.journal_path = context.scratch / "journal.jsonl"
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The journal, opened at first use: `restore` may first put back what a lost node had written."""
        if self._journal is None:
            spec = self.context.spec
            self._journal = Journal(self.journal_path, run_key(spec.sweep, spec.stage, self.context.trial_id))
        return self._journal

    # -- the Monitor protocol of the training loop ------------------------------------------------------

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Write losses to the journal; keep shares and diagnostics for the next report."""
        self.shares.add(phase, values)
        self._diagnostics = {k: v for k, v in values.items() if k.startswith(DIAGNOSTICS)}
        self.journal.metrics(self._axis(phase, step), {f"{phase}/{k}": v for k, v in values.items()})

    def report(self, state: TrainState, history: History) -> None:
        """Write the newest evaluation to the journal, report it to Tune, and store a picture."""
        latest = history.latest()
        release_memory(self.context.rank.device)  # whole images need large blocks that training does not
        self.journal.metrics(self._axis(state.phase, state.step), {f"val/{k}": v for k, v in latest.items()})
        if self.context.is_compared:
            self._draw_strip(state)
        self._send(state.phase, state.step, latest=latest, **self._results(state, history))

    def save(self, state: TrainState, history: History) -> None:
        """Store a checkpoint in this attempt's own folder; the next report carries its pointer."""
        context = self.context
        self.usage.update()
        name = context.name(f"{self.attempt}/{state.phase}-{state.step:08d}")
        extra = {
            "progress": vars(history),
            "usage": vars(self.usage.cumulative()),
            "journal": self.journal_path.read_text() if self.journal_path.exists() else "",
            "shares": vars(self.shares),
        }
        folder = context.storage.staging_dir(name, context.scratch)
        context.storage.publish(checkpoint.save(folder, self.config, state, extra), name)
        self.pointer, self._pointer_reported = name, False
        self._saved.append((name, time.monotonic()))
        self._prune()

    def keep_candidate(self, state: TrainState, history: History) -> None:
        """Store the averaged generator as just measured."""
        context, name = self.context, self._candidate(state.step)
        self._dropped = [d for d in self._dropped if d[0] != name]
        folder = context.storage.staging_dir(name, context.scratch)
        extra = {"step": state.step, "val": history.latest()}
        saved = checkpoint.save_generator(folder, self.config, state.ema, extra)
        context.storage.publish(saved, name)

    def drop_candidate(self, step: int) -> None:
        """Mark a candidate that a later one dominates; it is deleted once no kept checkpoint names it."""
        self._dropped.append((self._candidate(step), time.monotonic()))

    def restore(self) -> Path | None:
        """Return the checkpoint that Tune's pointer names, and put back its journal, time and shares."""
        self.pointer = self.context.rank.reporter.pointer()
        if not self.pointer:
            return None
        saved = self.context.fetch(self.pointer)
        extra = checkpoint.read_extra(saved)
        self.usage.before_checkpoint = Usage(**extra["usage"])
        self.shares = ShareMeans(**extra["shares"])
        if not self.journal_path.exists():
            self.journal_path.parent.mkdir(parents=True, exist_ok=True)
            self.journal_path.write_text(extra["journal"])
        return saved

    # -- what a trial adds to it ------------------------------------------------------------------------

    def begin_segment(self, config: TrainConfig) -> None:
        """Use the settings of the next segment of the trial's lineage."""
        self.config = config

    def take_over(self, saved: Path) -> None:
        """Continue another trial's network: its gradient shares count here, its time does not."""
        self.shares = ShareMeans(**checkpoint.read_extra(saved)["shares"])

    def report_complete(self, state: TrainState, history: History) -> None:
        """Report a trial that ran its whole budget, with its candidates."""
        url, start = self.context.storage.url, self.context.lineage.start_step
        rows = {int(row["step"]): row for row in history.curve}
        first = start + 1 if self.context.lineage.parent else start  # those up to there are its parent's
        own = [s for s in history.candidates if s >= first]
        self._send(
            state.phase,
            state.step,
            status=Status.COMPLETE,
            candidates=tuple(rows[s] | {"checkpoint": url(self._candidate(s))} for s in own),
            checkpoint=url(self.pointer),
            **self._results(state, history),
        )

    def report_diverged(self, diverged: Diverged, state: TrainState, history: History) -> None:
        """Report finite worst values, never NaN: those of a mid-grey image."""
        scale = self.config.generator.scale
        grey = self.context.inputs.evaluator.measure(lambda x: _mid_grey(x, scale)).summary
        self._send(
            state.phase,
            diverged.step,
            status=Status.DIVERGED,
            diverged_term=diverged.term,
            ranked=grey,
            warm_start=self._warm_start(state, history),
        )

    def report_failed(self, reason: str, machine_fault: bool = False) -> None:
        """Report a request that cannot be carried out; a retry would not help. No collective.

        With `machine_fault` the machine is the reason, and no checkpoint is sent: its disk may be full.
        """
        self._pointer_reported |= machine_fault
        failed = {"status": Status.FAILED, "reason": reason, "machine_fault": machine_fault}
        self._send(self.context.phase, 0, update_usage=False, **failed)

    def report_preempted(self, state: TrainState, history: History) -> None:
        """Report where to resume. The step is that of the last evaluation, so no report is ranked twice."""
        step = int(history.curve[-1]["step"]) if history.curve else 0
        results = self._results(state, history) if history.curve else {}
        self._send(state.phase, step, status=Status.PREEMPTED, **results)

    # -- parts -----------------------------------------------------------------------------------------

    def _results(self, state: TrainState, history: History) -> dict[str, Any]:
        return {"ranked": self._ranked(state, history), "warm_start": self._warm_start(state, history)}

    def _ranked(self, state: TrainState, history: History) -> dict[str, float]:
        """Return what the trial is worth: see TrialReport.ranked."""
        if not self.context.is_compared:
            return history.smoothed()
        objectives = replace(Objectives.of(self.config.objective), least=self.context.spec.least)
        warm_start = self._warm_start(state, history)
        return history.best_smoothed(lambda m: objectives.order(m, warm_start))

    def _warm_start(self, state: TrainState, history: History) -> dict[str, float]:
        """Return the metrics of the network that training started from, or of bicubic without one."""
        if not self.context.is_compared or not history.curve:  # the first evaluation may be what diverged
            return {}
        if not self.context.warm_key:
            return dict(self.context.spec.bicubic)
        return {k: v for k, v in history.curve[0].items() if k != "step"}

    def _axis(self, phase: str, step: int) -> int:
        """Return the step on one axis for both phases, as MLflow shows it."""
        return step + (self.config.run.psnr_steps if phase == "gan" else 0)

    def _send(self, phase: str, step: int, *, update_usage: bool = True, **values: Any) -> None:
        if update_usage:
            self.usage.update()
        report = TrialReport(
            phase=phase,
            step=step,
            max_steps=self.config.run.steps(phase),
            gradient_shares=self.shares.means(),
            diagnostics=self._diagnostics,
            usage=self.usage.cumulative(),
            attempt=self.attempt,
            attempt_usage=self.usage.this_attempt,
            device=self.context.rank.device.type,
            hardware=self.hardware,
            journal=tuple(self.journal.drain()),
            **values,
        )
        pointer, self._pointer_reported = "" if self._pointer_reported else self.pointer, True
        self.context.rank.reporter.report(report.to_result(), pointer)

    def _draw_strip(self, state: TrainState) -> None:
        context = self.context
        warm = context.warm_generator
        models = ({"warm start": warm} if warm else {}) | {"ours": state.ema}
        scale, device = self.config.generator.scale, context.rank.device
        picture = image_strips.draw(context.inputs.pairs, models, scale, device)
        context.storage.write_bytes(context.name("strip.png"), picture)

    def _candidate(self, step: int) -> str:
        return self.context.name(f"candidates/{step:08d}")

    def _prune(self) -> None:
        now = time.monotonic()
        old = [name for name, at in self._saved[:-2] if now - at > KEEP_SECONDS]
        for name in old:
            self.context.storage.remove(name)
        self._saved = [s for s in self._saved if s[0] not in old]
        # a trial that resumes from a checkpoint before the drop may choose the candidate again
        gone = [name for name, at in self._dropped if at < self._saved[0][1]]
        for name in gone:
            self.context.storage.remove(name)
        self._dropped = [d for d in self._dropped if d[0] not in gone]


class RankMonitor(SilentMonitor):
    """The monitor of every other rank: it only takes part in counting the time.

    A request that cannot be carried out is reported by the rank that sees it.
    """

    def __init__(self, context: TrialContext) -> None:
        self.context, self.usage = context, UsageMeter(context.rank.ranks)

    def restore(self) -> Path | None:
        """Return the checkpoint that the first rank resumes from."""
        pointer = self.context.rank.reporter.pointer()
        return self.context.fetch(pointer) if pointer else None

    def report(self, *_: Any) -> None:
        """Count, as the first rank does when it reports."""
        self.usage.update()

    save = report_complete = report_diverged = report_preempted = report

    def report_failed(self, reason: str, machine_fault: bool = False) -> None:
        """Report for the trial: the first rank may not have seen the failure."""
        TrialMonitor(self.context).report_failed(reason, machine_fault)

    def begin_segment(self, config: TrainConfig) -> None:
        """Do nothing: this rank writes no checkpoints."""

    def take_over(self, saved: Path) -> None:
        """Do nothing: this rank reports no shares."""


def _mid_grey(lr_image: Tensor, scale: int) -> Tensor:
    n, _, h, w = lr_image.shape
    return torch.full((n, 3, h * scale, w * scale), 0.5, device=lr_image.device)
