"""study.db: a sweep's Optuna study as a file that optuna-dashboard and optuna.load_study open.

The study itself is kept in memory and in Tune's snapshots, because a database that is written to while a
driver is killed would show trials as running for ever. The file is a copy of the trials that have ended, and
complete at any moment.
"""

import time
import warnings

import optuna

from orchestrator.search.sampler import METRICS_OF
from orchestrator.storage import Storage

NAME = "study.db"
PAUSE = 20.0  # times the duration of the last export, so that exports take at most a twentieth of a sweep
LEAST_S = 60.0
"""Seconds between two exports at least, as the report has them: each writes the whole file."""


class StudyExport:
    """A writer of STORAGE/SWEEP/study.db when more trials have ended, with pauses in between.

    The database is kept in memory, so that each trial enters it once: Optuna takes 20 ms for one.
    """

    def __init__(self, storage: Storage, sweep: str) -> None:
        self.storage, self.sweep = storage, sweep
        self.study: optuna.Study | None = None
        self.database: Database | None = None
        self.exported: set[int] = set()
        """Numbers of the trials that are in the database."""
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
        ended = [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        new = [trial for trial in ended if trial.number not in self.exported]
        if not new:
            return
        self.database = self.database or Database(self.study)
        self.database.study.add_trials(new)
        self.exported.update(trial.number for trial in new)
        self.storage.write_bytes(f"{self.sweep}/{NAME}", self.database.content())
        self.ready_at = time.monotonic() + max(LEAST_S, PAUSE * (time.monotonic() - began))


class Database:
    """An SQLite database in memory: values, constraints and parameters of the trials that were added.

    It belongs to the thread that opened it: another one's connection would be to a database of its own.
    """

    def __init__(self, like: optuna.Study) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would log that it created a study
        self.storage = optuna.storages.RDBStorage("sqlite://")
        self.study = optuna.create_study(
            storage=self.storage, study_name=like.study_name, directions=like.directions
        )
        with warnings.catch_warnings():  # experimental in Optuna; only the labels of its dashboard need it
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.set_metric_names(like.user_attrs[METRICS_OF])  # not "Objective 0"

    def content(self) -> bytes:
        """Return the database as a file."""
        connection = self.storage.engine.raw_connection()
        try:
            return connection.driver_connection.serialize()  # type: ignore[union-attr]
        finally:
            connection.close()
