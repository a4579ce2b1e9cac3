"""The loop's Monitor inside a Ray Tune trial: reports, pointers to checkpoints, journal, pictures.

Checkpoint bytes go to STORAGE/NAME/trials/ID/attempt-*/ and Tune carries only a pointer to them.
"""

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from orchestrator.results import image_strips
from orchestrator.tracking.journal import Journal
from orchestrator.trial.usage import ResourceUsage
from trainers import checkpoint
from trainers.objectives import Objectives, order_feasible_first
from trainers.state import Diverged, History, TrainState

if TYPE_CHECKING:
    from orchestrator.trial.trial import Trial

# Tune's own snapshot may be older than the last report, so a driver that comes back may ask for an
# earlier checkpoint than the newest two.
KEEP_SECONDS = 300.0
SHARE = "gradient_share/"
LOGGED_WITH_REPORTS = ("data_wait_share", "d_accuracy")


class TrialMonitor:
    """Speaks for one trial."""

    def __init__(self, trial: "Trial") -> None:
        self.trial = trial
        self.bill = ResourceUsage(trial.ranks)
        # A partitioned attempt that still runs must not overwrite its replacement.
        self.attempt = f"attempt-{uuid.uuid4().hex[:8]}"
        self.pointer = ""
        self.unreported = False
        self.saved: list[tuple[str, float]] = []
        self.logged: dict[str, float] = {}
        self.shares: dict[str, list[float]] = {}
        """Share of a gradient -> sum and number of its logged values in this phase."""
        self.shares_phase = ""
        self.journal_path = trial.scratch / "journal.jsonl"
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """Opened at first use, after `restore` has put back what a lost node had written."""
        if self._journal is None:
            key = f"{self.trial.job.sweep}/{self.trial.job.stage}/{self.trial.trial_id}"
            self._journal = Journal(self.journal_path, key)
        return self._journal

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Losses to the journal; shares also to the next report."""
        self._count_shares(phase, values)
        self.logged = {k: v for k, v in values.items() if k.startswith(LOGGED_WITH_REPORTS)} | self._means()
        self.journal.metrics(self._axis(phase, step), {f"{phase}/{k}": v for k, v in values.items()})

    def report(self, state: TrainState, progress: History) -> None:
        """The latest values to the journal, what the trial is worth to Tune, a picture to storage."""
        latest = progress.latest()
        self.journal.metrics(self._axis(state.phase, state.step), {f"val/{k}": v for k, v in latest.items()})
        if state.phase == "gan":
            self._draw_strip(state)
        values = self._worth(state, progress) | {f"last/{k}": v for k, v in latest.items()}
        self.bill.count()
        self._report(state.phase, state.step, values | _warm(state, progress))

    def report_done(self, state: TrainState, progress: History) -> None:
        """The last word of a trial that ran its whole budget: its candidates beside what it is worth."""
        rows = {int(row["step"]): row for row in progress.curve}
        url = self.trial.storage.url
        since = self.trial.course.since  # earlier ones lie with the trial it goes on from
        own = [s for s in progress.candidates if s >= since]
        candidates = [rows[s] | {"checkpoint": url(self._candidate(s))} for s in own]
        extra = {"complete": 1, "candidates": candidates, "checkpoint": url(self.pointer)}
        self.bill.count()
        worth = self._worth(state, progress)
        self._report(state.phase, state.step, worth | extra | _warm(state, progress))

    def report_diverged(self, diverged: Diverged, state: TrainState, progress: History) -> None:
        """Finite worst values, never NaN: those of a mid-grey image."""
        scale = self.trial.config.generator.scale
        grey = self.trial.evaluator.measure(lambda x: _mid_grey(x, scale)).summary
        words = {"diverged": 1, "diverged_step": diverged.step, "diverged_term": diverged.term}
        self.bill.count()
        self._report(state.phase, diverged.step, grey | words | _warm(state, progress))

    def report_failed(self, reason: str) -> None:
        """The last word of a trial whose request cannot be carried out: trying again would not help."""
        self._report(self._first_phase(), 0, {"failed": reason})

    def report_yielded(self, state: TrainState, progress: History) -> None:
        """Where to go on, with what was last judged: nothing new was measured, so no rung is entered anew."""
        step = int(progress.curve[-1]["step"]) if progress.curve else 0
        values = self._worth(state, progress) | _warm(state, progress) if progress.curve else {}
        self.bill.count()
        self._report(state.phase, step, values | {"yielded": 1})

    def save(self, state: TrainState, progress: History) -> None:
        """A checkpoint under this attempt's own folder; the next report carries its pointer."""
        trial = self.trial
        self.bill.count()
        name = trial.name(f"{self.attempt}/{state.phase}-{state.step:08d}")
        journal = self.journal_path.read_text() if self.journal_path.exists() else ""
        extra = {"progress": vars(progress), "spent": self.bill.network(), "journal": journal}
        extra |= {"shares": self.shares, "shares_phase": self.shares_phase}
        folder = checkpoint.save(trial.storage.staging_dir(name, trial.scratch), trial.config, state, extra)
        trial.storage.publish(folder, name)
        self.pointer, self.unreported = name, True
        self.saved.append((name, time.monotonic()))
        self._prune()

    def keep_candidate(self, state: TrainState, progress: History) -> None:
        """The averaged generator as just measured."""
        trial, name = self.trial, self._candidate(state.step)
        folder = trial.storage.staging_dir(name, trial.scratch)
        extra = {"step": state.step, "val": progress.latest()}
        trial.storage.publish(checkpoint.save_generator(folder, trial.config, state.ema, extra), name)

    def drop_candidate(self, step: int) -> None:
        """A candidate that a later one dominates."""
        self.trial.storage.remove(self._candidate(step))

    def restore(self) -> Path | None:
        """The checkpoint that Tune's pointer names, with the journal and the time spent before it."""
        self.pointer = self.trial.voice.pointer()
        if not self.pointer:
            return None
        saved = self.trial.fetch(self.pointer)
        extra = checkpoint.read_extra(saved)
        self.bill.before = extra["spent"]
        self.shares, self.shares_phase = extra["shares"], extra["shares_phase"]
        self.logged = self._means()  # a report may come before the next log
        if not self.journal_path.exists():
            self.journal_path.parent.mkdir(parents=True, exist_ok=True)
            self.journal_path.write_text(extra["journal"])
        return saved

    def take_over(self, saved: Path) -> None:
        """Go on from another trial's checkpoint: its gradient shares are this network's, its time is not."""
        extra = checkpoint.read_extra(saved)
        self.shares, self.shares_phase = extra["shares"], extra["shares_phase"]
        self.logged = self._means()

    # -- parts -----------------------------------------------------------------------------------------

    def _count_shares(self, phase: str, values: Mapping[str, float]) -> None:
        if phase != self.shares_phase:
            self.shares, self.shares_phase = {}, phase
        for name in (k for k in values if k.startswith(SHARE)):
            total, count = self.shares.get(name, [0.0, 0])
            self.shares[name] = [total + values[name], count + 1]

    def _means(self) -> dict[str, float]:
        """Of each gradient share over the phase so far: the last logged step says little of a whole run."""
        return {name: total / count for name, (total, count) in self.shares.items()}

    def _worth(self, state: TrainState, progress: History) -> dict[str, float]:
        """The newest values of a PSNR phase; of a GAN phase the best so far, by the rule of the sweep."""
        if state.phase != "gan":
            return progress.judged()
        objectives = Objectives.of(self.trial.config.objective)
        floor = objectives.point(progress.curve[0])[0] - objectives.delta_db
        return progress.best(lambda metrics: order_feasible_first(objectives.point(metrics), floor))

    def _first_phase(self) -> str:
        return "psnr" if self.trial.job.stage == "warm" else "gan"

    def _axis(self, phase: str, step: int) -> int:
        """Steps of both phases on one axis, as MLflow shows them."""
        return step + (self.trial.config.run.psnr_steps if phase == "gan" else 0)

    def _report(self, phase: str, step: int, values: dict[str, Any]) -> None:
        trial, run = self.trial, self.trial.config.run
        payload = {"diverged": 0, "complete": 0} | values | self.logged | self.bill.network()
        payload |= {
            "phase": phase,
            "step": step,
            "gan_step": step if phase == "gan" else 0,
            "max_steps": run.gan_steps if phase == "gan" else run.psnr_steps,
            "upsweep_id": trial.trial_id,
            "device": trial.device.type,
            "attempt": self.attempt,
            "attempt_spent": self.bill.here,
            "journal": self.journal.drain(),
        }
        fresh, self.unreported = self.pointer if self.unreported else "", False
        trial.voice.report(payload, fresh)

    def _draw_strip(self, state: TrainState) -> None:
        trial = self.trial
        models = {"warm start": trial.warm_generator, "ours": state.ema}
        picture = image_strips.draw(trial.pairs, models, trial.config.generator.scale, trial.device)
        trial.storage.write_bytes(trial.name("strip.png"), picture)

    def _candidate(self, step: int) -> str:
        return self.trial.name(f"candidates/{step:08d}")

    def _prune(self) -> None:
        now = time.monotonic()
        old = [name for name, at in self.saved[:-2] if now - at > KEEP_SECONDS]
        for name in old:
            self.trial.storage.remove(name)
        self.saved = [s for s in self.saved if s[0] not in old]


def _warm(state: TrainState, progress: History) -> dict[str, float]:
    """What the GAN phase started from, under `warm/...`."""
    if state.phase != "gan":
        return {}
    return {f"warm/{k}": v for k, v in progress.curve[0].items() if k != "step"}


def _mid_grey(lr_image: Tensor, scale: int) -> Tensor:
    n, _, h, w = lr_image.shape
    return torch.full((n, 3, h * scale, w * scale), 0.5, device=lr_image.device)
