"""study.db: a sweep's Optuna study as a file that optuna-dashboard and optuna.load_study open.

The study itself lives in memory and travels in Tune's own snapshots: a database that is written to while a
driver is killed keeps trials that run for ever. This is a copy of what has finished, whole at any moment.
"""

import tempfile
import time
from pathlib import Path

import optuna

from orchestrator.storage import Storage

NAME = "study.db"
PAUSE = 20.0  # times what the last export took, so that it never slows a sweep by more than a twentieth


class StudyExport:
    """Writes STORAGE/SWEEP/study.db anew whenever more trials have finished, but not all the time."""

    def __init__(self, storage: Storage, sweep: str) -> None:
        self.storage, self.sweep = storage, sweep
        self.study: optuna.Study | None = None
        self.finished = -1
        self.ready_at = 0.0

    def __call__(self, study: optuna.Study) -> None:
        """A snapshot of the study was taken."""
        self.study = study
        if time.monotonic() >= self.ready_at:
            self.write()

    def write(self) -> None:
        """Write what has finished since the last time, if anything has."""
        if self.study is None:
            return
        began = time.monotonic()
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        if len(trials) > self.finished:
            self.storage.write_bytes(f"{self.sweep}/{NAME}", as_sqlite(self.study, trials))
            self.finished = len(trials)
            self.ready_at = time.monotonic() + PAUSE * (time.monotonic() - began)


def as_sqlite(study: optuna.Study, trials: list[optuna.trial.FrozenTrial]) -> bytes:
    """An SQLite database that holds the study with these trials: values, constraints, parameters."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each copy would say that it made a study
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        copy = optuna.create_study(storage=storage, study_name=study.study_name, directions=study.directions)
        copy.add_trials(trials)
        storage.engine.dispose()
        return path.read_bytes()
