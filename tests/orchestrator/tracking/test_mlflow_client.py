"""Opening a store: whole tables or none, experiments by name, defaults that the environment overrides."""

import os
import shutil
import sqlite3

import mlflow
import pytest

from orchestrator.tracking.mlflow_client import (
    get_or_create_experiment,
    open_client,
    set_writer_defaults,
    using_tracking_uri,
)
from orchestrator.tracking.server import default_uri


def test_an_experiment_deleted_by_hand_is_restored(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    client = open_client(default_uri(tmp_path))
    first = get_or_create_experiment(client, "upsweep/demo", None)
    assert get_or_create_experiment(client, "upsweep/demo", None) == first
    client.delete_experiment(first)
    assert get_or_create_experiment(client, "upsweep/demo", None) == first
    assert client.get_experiment(first).lifecycle_stage == "active"


def test_the_process_wide_address_is_put_back_after_an_error(tmp_path):
    before = mlflow.get_tracking_uri()
    with pytest.raises(KeyError), using_tracking_uri(default_uri(tmp_path)):
        assert mlflow.get_tracking_uri() == default_uri(tmp_path)
        raise KeyError
    assert mlflow.get_tracking_uri() == before


def test_the_writer_never_lets_mlflow_retry_and_otherwise_keeps_the_users_variables(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "")
    set_writer_defaults()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"


@pytest.mark.slow
def test_a_migration_that_was_killed_half_way_is_begun_again(tmp_path):
    half = sqlite3.connect(tmp_path / ".mlflow.db.new")
    half.execute("CREATE TABLE _alembic_tmp_experiments (experiment_id INTEGER)")
    half.commit()
    half.close()
    assert open_client(default_uri(tmp_path)).search_experiments()[0].name == "Default"
    assert not (tmp_path / ".mlflow.db.new").exists()
