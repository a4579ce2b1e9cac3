"""The Monitor protocol of the training loop, and FolderMonitor, which writes to files and the terminal."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from datasets.text import format_duration
from trainers.checkpoint import save, save_generator, whole
from trainers.config import TrainConfig
from trainers.state import PHASES, History, TrainState


class Monitor(Protocol):
    """The receiver of a run's logs, reports and checkpoints; a trial has orchestrator/trial/monitor.py."""

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Take losses and gradient shares, every run.log_every_steps."""

    def report(self, state: TrainState, history: History) -> None:
        """Take the newest row of history.curve, every run.eval_every_steps; may end the run by raising."""

    def save(self, state: TrainState, history: History) -> None:
        """Save a checkpoint, every run.checkpoint_every_steps and at the end of a phase."""

    def keep_candidate(self, state: TrainState, history: History) -> None:
        """Save the averaged generator, which was just measured and is on this run's Pareto front."""

    def drop_candidate(self, step: int) -> None:
        """Remove the candidate of `step`, which a later one dominates."""

    def restore(self) -> Path | None:
        """Return the checkpoint to resume from, or None."""


class FolderMonitor:
    """A monitor that writes metrics.jsonl, checkpoints/ and candidates/ and prints one line per report.

    The folder is made by the first call that writes. A resumed run repeats the lines of metrics.jsonl that
    came after its checkpoint: readers must use the last line of each phase and step.
    """

    def __init__(self, folder: Path, config: TrainConfig, say: Callable[[str], None] = print) -> None:
        self.folder, self.config, self.say = folder, config, say
        self.started = "", 0, 0.0
        """Phase, step and time of the first report of the present phase."""

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Write one line of metrics.jsonl."""
        self._write({"phase": phase, "step": step, "log": values})

    def report(self, state: TrainState, history: History) -> None:
        """Write one line of metrics.jsonl and print one."""
        phase, step, values = state.phase, state.step, history.latest()
        self._write({"phase": phase, "step": step, "val": values})
        total = self.config.run.steps(phase)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        self.say(f"{phase} {step:>7}/{total}  {shown}  {self._time_left(phase, step)}")

    def save(self, state: TrainState, history: History) -> None:
        """Write checkpoints/PHASE-STEP, then remove the previous checkpoint and leftovers."""
        folder = self.folder / "checkpoints"
        name = f"{state.phase}-{state.step:08d}"
        newest = save(folder / name, self.config, state, {"progress": vars(history)})
        for old in folder.iterdir():
            if old != newest:
                shutil.rmtree(old)

    def keep_candidate(self, state: TrainState, history: History) -> None:
        """Write candidates/STEP."""
        folder = self.folder / "candidates" / f"{state.step:08d}"
        save_generator(folder, self.config, state.ema, {"step": state.step, "val": history.latest()})

    def drop_candidate(self, step: int) -> None:
        """Remove candidates/STEP."""
        shutil.rmtree(self.folder / "candidates" / f"{step:08d}", ignore_errors=True)

    def restore(self) -> Path | None:
        """Return the newest checkpoint of this folder, or None."""
        saved = whole(self.folder / "checkpoints")
        return max(saved, key=lambda p: (PHASES.index(p.name.split("-")[0]), p.name), default=None)

    def _write(self, entry: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "metrics.jsonl", "a") as f:
            f.write(json.dumps(entry) + "\n")

    def _time_left(self, phase: str, step: int) -> str:
        """Return the time until this phase ends, by the pace since its first report here.

        A GAN step costs several PSNR steps, so one phase tells nothing of the other.
        """
        run, now = self.config.run, time.monotonic()
        first_phase, first, began = self.started
        if phase != first_phase or step <= first:
            self.started = phase, step, now
            return ""
        left = (now - began) / (step - first) * (run.steps(phase) - step)
        of = " of this phase" if phase == "psnr" and run.gan_steps else ""
        return f"{format_duration(left)} left{of}"


class SilentMonitor:
    """The monitor of every rank but the first: resumes as the first rank does and writes nothing."""

    def __init__(self, leader: FolderMonitor) -> None:
        self.restore = leader.restore

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Do nothing: the first rank logs."""

    def report(self, state: TrainState, history: History, /) -> None:
        """Do nothing: the first rank reports, saves and keeps candidates."""

    save = keep_candidate = report

    def drop_candidate(self, step: int) -> None:
        """Do nothing: the first rank drops candidates."""
