"""What several rooms' tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to be copied: making its tables takes seconds each time."""
    from orchestrator.mlflow_store import open_store
    from orchestrator.tracking import default_uri

    folder = tmp_path_factory.mktemp("store")
    open_store(default_uri(folder))
    return folder / "mlflow.db"
