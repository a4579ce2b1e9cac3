"""Whom a run tells: the Monitor protocol, and one that writes to a folder and the terminal."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from trainers.checkpoint import save, save_generator, whole
from trainers.config import TrainConfig
from trainers.state import PHASES, History, TrainState


class Monitor(Protocol):
    """What the training loop reports to; a sweep's trial has its own (orchestrator/trial/monitor.py)."""

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Losses and shares, at run.log_every_steps."""

    def report(self, state: TrainState, progress: History) -> None:
        """The newest row of progress.curve, at run.eval_every_steps; may end the run by raising."""

    def save(self, state: TrainState, progress: History) -> None:
        """A place to resume from, at run.checkpoint_every_steps and at the end of a phase."""

    def keep_candidate(self, state: TrainState, progress: History) -> None:
        """The averaged generator as just measured lies on this run's own front."""

    def drop_candidate(self, step: int) -> None:
        """A candidate that a later one dominates."""

    def restore(self) -> Path | None:
        """The folder to resume from, or None."""


class FolderMonitor:
    """Writes metrics.jsonl, checkpoints/ and candidates/ under one folder; prints one line per report.

    Nothing is written before the first of these. A resumed run repeats the lines of metrics.jsonl that came
    after its checkpoint: the last line of a phase and step counts.
    """

    def __init__(self, folder: Path, config: TrainConfig, say: Callable[[str], None] = print) -> None:
        self.folder, self.config, self.say = folder, config, say
        self.started: tuple[int, float] | None = None

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """One line of metrics.jsonl."""
        self._write({"phase": phase, "step": step, "log": values})

    def report(self, state: TrainState, progress: History) -> None:
        """One line of metrics.jsonl and one for the reader."""
        phase, step, values = state.phase, state.step, progress.latest()
        self._write({"phase": phase, "step": step, "val": values})
        total = self.config.run.psnr_steps if phase == "psnr" else self.config.run.gan_steps
        shown = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        self.say(f"{phase} {step:>7}/{total}  {shown}  {self._time_left(phase, step)}")

    def save(self, state: TrainState, progress: History) -> None:
        """checkpoints/PHASE-STEP, replacing the one before it."""
        folder = self.folder / "checkpoints"
        kept = save(
            folder / f"{state.phase}-{state.step:08d}", self.config, state, {"progress": vars(progress)}
        )
        for old in folder.iterdir():
            if old != kept:
                shutil.rmtree(old)

    def keep_candidate(self, state: TrainState, progress: History) -> None:
        """candidates/STEP."""
        folder = self.folder / "candidates" / f"{state.step:08d}"
        save_generator(folder, self.config, state.ema, {"step": state.step, "val": progress.latest()})

    def drop_candidate(self, step: int) -> None:
        """Remove candidates/STEP."""
        shutil.rmtree(self.folder / "candidates" / f"{step:08d}", ignore_errors=True)

    def restore(self) -> Path | None:
        """The newest checkpoint of this folder."""
        saved = whole(self.folder / "checkpoints")
        return max(saved, key=lambda p: (PHASES.index(p.name.split("-")[0]), p.name), default=None)

    def _write(self, entry: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "metrics.jsonl", "a") as f:
            f.write(json.dumps(entry) + "\n")

    def _time_left(self, phase: str, step: int) -> str:
        run = self.config.run
        done = step + (run.psnr_steps if phase == "gan" else 0)
        if self.started is None or done <= self.started[0]:
            self.started = self.started or (done, time.monotonic())
            return ""
        since, began = self.started
        left = (time.monotonic() - began) / (done - since) * (run.psnr_steps + run.gan_steps - done)
        return f"{int(left // 60)}:{int(left % 60):02d} left"


class SilentMonitor:
    """The monitor of every rank but the first: resumes from the same folder and says nothing."""

    def __init__(self, leader: FolderMonitor) -> None:
        self.restore = leader.restore

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """The first rank logs."""

    def report(self, state: TrainState, progress: History) -> None:
        """The first rank reports."""

    def save(self, state: TrainState, progress: History) -> None:
        """The first rank saves."""

    def keep_candidate(self, state: TrainState, progress: History) -> None:
        """The first rank keeps candidates."""

    def drop_candidate(self, step: int) -> None:
        """The first rank drops them."""
