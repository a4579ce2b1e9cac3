"""First contact with an MLflow store: its tables made by one process at a time, its experiment by name.

Importing this costs seconds, for it imports mlflow; training never does.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from datasets.files import locked
from orchestrator.tracking.server import database_path  # noqa: E402


def open_client(tracking_uri: str) -> MlflowClient:
    """A client of both tracking and registry. A new sqlite file gets its tables here, under a lock.

    (MLflow's own migrations race: of eight processes on a new file, seven died.)
    """
    database = database_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)
    with locked(database.with_name(database.name + ".lock")):
        if not database.exists() or not database.stat().st_size:
            _make_tables(database)
        return MlflowClient(tracking_uri, registry_uri=tracking_uri)


def _make_tables(database: Path) -> None:
    """A migrated database takes its name when it is whole: half a migration can never be repaired."""
    new = database.with_name(f".{database.name}.new")
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    store: Any = MlflowClient(f"sqlite:///{new}")._tracking_client.store
    store.engine.dispose()
    new.replace(database)


def get_or_create_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """The experiment called `name`, made if need be; one deleted by hand comes back."""
    try:
        return client.create_experiment(name, artifact_location=artifact_root)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found: Any = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":  # its name cannot be used again otherwise
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


@contextmanager
def using_tracking_uri(tracking_uri: str) -> Iterator[None]:
    """MLflow's process-wide functions speak to `tracking_uri` inside the block, and as before after it."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
