"""study.db: a sweep's Optuna study as a file that optuna-dashboard and optuna.load_study open.

The study itself is kept in memory and in Tune's snapshots, because a database that is written to while a
driver is killed would show trials as running for ever. The file is a copy of the trials that have ended, and
complete at any moment.
"""

import tempfile
import time
import warnings
from pathlib import Path

import optuna

from orchestrator.search.sampler import METRICS_OF
from orchestrator.storage import Storage
from orchestrator.tracking.server import database_uri

NAME = "study.db"
PAUSE = 20.0  # times the duration of the last export, so that exports take at most a twentieth of a sweep


class StudyExport:
    """A writer of STORAGE/SWEEP/study.db when more trials have ended, with pauses in between."""

    def __init__(self, storage: Storage, sweep: str) -> None:
        self.storage, self.sweep = storage, sweep
        self.study: optuna.Study | None = None
        self.finished = -1
        self.ready_at = 0.0

    def __call__(self, study: optuna.Study) -> None:
        """Write the study of a new snapshot, unless the last export was a moment ago."""
        self.study = study
        if time.monotonic() >= self.ready_at:
            self.write()

    def write(self) -> None:
        """Write the file if more trials have ended since the last time."""
        if self.study is None:
            return
        began = time.monotonic()
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        if len(trials) > self.finished:
            self.storage.write_bytes(f"{self.sweep}/{NAME}", as_sqlite(self.study, trials))
            self.finished = len(trials)
            self.ready_at = time.monotonic() + PAUSE * (time.monotonic() - began)


def as_sqlite(study: optuna.Study, trials: list[optuna.trial.FrozenTrial]) -> bytes:
    """Return an SQLite database of the study with these trials: values, constraints, parameters."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each copy would log that it created a study
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        storage = optuna.storages.RDBStorage(database_uri(Path(path)))
        copy = optuna.create_study(storage=storage, study_name=study.study_name, directions=study.directions)
        with warnings.catch_warnings():  # experimental in Optuna; only the labels of its dashboard need it
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            copy.set_metric_names(study.user_attrs[METRICS_OF])  # not "Objective 0"
        copy.add_trials(trials)
        storage.engine.dispose()
        return path.read_bytes()
