"""A results table becomes one run with its numbers and files."""

import shutil

import pytest

from datasets.errors import UserError
from orchestrator.tracking.mlflow_client import open_client
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.table_run import log_table


def test_a_table_is_one_run_with_its_files(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "table.md").write_text("| psnr_y |")
    run_id = log_table(folder, default_uri(tmp_path), "x4", {"Set5/psnr_y/mine": 30.5}, {"scale": "4"})
    client = open_client(default_uri(tmp_path))
    run = client.get_run(run_id)
    assert run.data.metrics == {"Set5/psnr_y/mine": 30.5} and run.data.params == {"scale": "4"}
    assert run.data.tags["kind"] == "benchmark" and run.info.run_name == "x4"
    assert client.get_experiment(run.info.experiment_id).name == "upsweep-benchmarks"
    assert [file.path for file in client.list_artifacts(run_id)] == ["table.md"]


def test_a_store_that_accepts_nothing_in_time_is_named(tmp_path, migrated_database):
    shutil.copy(migrated_database, tmp_path)
    uri = default_uri(tmp_path)
    with pytest.raises(UserError, match=rf"{uri} did not accept the table within 0 s; the files are in"):
        log_table(tmp_path, uri, "x4", {}, {}, timeout_s=0.0)
