"""Opening an MLflow store: its tables are created by one process at a time; experiments are found by name.

All defaults of MLflow's environment variables are here. Importing this module imports mlflow, which takes
seconds; training never imports it.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from datasets.address import reveal
from datasets.files import locked
from orchestrator.tracking.server import database_path, database_uri

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # MLflow's own seven wait for four minutes


def set_writer_defaults() -> None:
    """Set the defaults of the writer process, which retries by itself, whatever its driver's client does."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_TRUNCATE_LONG_VALUES", "true")


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client for tracking and registry; create the tables of a new sqlite file under a lock.

    (MLflow's own migrations race: of eight processes on a new file, seven died.)
    """
    tracking_uri = reveal(tracking_uri)
    database = database_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)
    if _is_empty(database):
        with locked(database.with_name(database.name + ".lock")):
            if _is_empty(database):
                _make_tables(database)
    follow_moved_artifacts(database)
    return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def _is_empty(database: Path) -> bool:
    return not database.exists() or not database.stat().st_size


ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Tables and columns in which MLflow keeps the absolute address of an artifact."""


def follow_moved_artifacts(database: Path) -> None:
    """Correct the addresses of the artifacts that are in mlartifacts/ beside `database`.

    MLflow keeps absolute addresses only, so that a storage that was moved or copied would lose its models, or
    write into the storage that it was copied from.
    """
    folder = database.parent / "mlartifacts"
    if not folder.is_dir():
        return
    now = folder.as_uri()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as reader:
        roots = {root for (root,) in reader.execute("SELECT artifact_location FROM experiments") if root}
        olds = [r for r in roots - {now} if r.endswith("/mlartifacts") and _are_here(reader, r, folder)]
    if not olds:
        return
    with closing(sqlite3.connect(database)) as connection, connection, suppress(sqlite3.OperationalError):
        for old in olds:  # a disk that cannot be written keeps its addresses
            for table, column in ADDRESSES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR {column} LIKE ?",
                    (now, len(old) + 1, old, f"{old}/%"),
                )


def _are_here(reader: sqlite3.Connection, old: str, folder: Path) -> bool:
    """Return True if `folder` holds the files of a run or a model whose address begins with `old`."""
    runs = reader.execute("SELECT run_uuid FROM runs WHERE artifact_uri LIKE ?", (f"{old}/%",))
    query = "SELECT model_id FROM logged_models WHERE artifact_location LIKE ?"
    models = reader.execute(query, (f"{old}/%",))
    names = [*(run_id for (run_id,) in runs), *(f"models/{model_id}" for (model_id,) in models)]
    return any((folder / name).is_dir() for name in names)


def _make_tables(database: Path) -> None:
    """Create the database under a temporary name and rename it: a half-migrated one cannot be repaired."""
    new = database.with_name(f".{database.name}.new")
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    store: Any = MlflowClient(database_uri(new))._tracking_client.store
    store.engine.dispose()
    new.replace(database)


def get_or_create_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """Return the id of experiment `name` (run_key.experiment_name); create it, or restore it if deleted."""
    try:
        return client.create_experiment(name, artifact_location=artifact_root)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    experiment: Any = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":  # its name cannot be used again otherwise
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


@contextmanager
def using_tracking_uri(tracking_uri: str) -> Iterator[None]:
    """Point MLflow's process-wide functions at `tracking_uri` inside the block, and back afterwards."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(reveal(tracking_uri))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
