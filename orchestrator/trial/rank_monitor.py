"""The monitor of every rank but the first: it says nothing, and helps to count what the trial takes."""

from pathlib import Path

from orchestrator.trial.monitor import TrialMonitor
from trainers.state import Diverged, History, TrainState


class RankMonitor(TrialMonitor):
    """Counts where the first rank counts. A request that cannot be carried out is told by whoever sees it."""

    def restore(self) -> Path | None:
        """The checkpoint that the first rank goes on from."""
        pointer = self.trial.voice.pointer()
        return self.trial.fetch(pointer) if pointer else None

    def log(self, phase: str, step: int, values: dict[str, float]) -> None:
        """The first rank logs."""

    def report(self, state: TrainState, progress: History) -> None:
        """The first rank reports."""
        self.bill.count()

    def report_done(self, state: TrainState, progress: History) -> None:
        """The first rank reports."""
        self.bill.count()

    def report_diverged(self, diverged: Diverged, state: TrainState, progress: History) -> None:
        """The first rank reports."""
        self.bill.count()

    def report_yielded(self, state: TrainState, progress: History) -> None:
        """The first rank reports."""
        self.bill.count()

    def save(self, state: TrainState, progress: History) -> None:
        """The first rank saves."""
        self.bill.count()

    def keep_candidate(self, state: TrainState, progress: History) -> None:
        """The first rank keeps candidates."""

    def drop_candidate(self, step: int) -> None:
        """The first rank drops them."""
