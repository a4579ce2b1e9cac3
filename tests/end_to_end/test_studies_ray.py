"""A study through Ray and into MLflow, once, at its smallest scale."""

import shutil

import pytest
from helpers.studies import request, sets  # noqa: F401  (a fixture)

from orchestrator.studies import run, training
from orchestrator.studies.kinds import dataset_matrix

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_trainings_are_ray_tasks_and_runs_of_mlflow(tmp_path, sets, migrated_database, monkeypatch):  # noqa: F811
    from mlflow import MlflowClient

    monkeypatch.setattr(
        "orchestrator.cluster.connect.tempfile.gettempdir", lambda: str(tmp_path)
    )  # a lock of its own
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_database, tmp_path / "runs" / "mlflow.db")
    asked = request(tmp_path, "dataset_matrix", "miniature_matrix", sets, ray=True, track=True)
    said: list[str] = []
    study = dataset_matrix.plan(asked)
    answer = run.run_study(study, asked, dataset_matrix.BASELINES, say=said.append)
    assert said[0].startswith("running on this machine: 1 node")
    assert len(answer.claims) == 4 and all(training.is_done(asked.folder / t.name) for t in study.trainings)
    client = MlflowClient(asked.uri)
    experiment = client.get_experiment_by_name("upsweep/dataset_matrix")
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"dataset_matrix", "run warm seed 0", "run cold seed 0"}
    assert all(r.info.status == "FINISHED" for r in runs.values())
    warm = runs["run warm seed 0"].data
    assert warm.params["generator.channels"] == "4" and warm.metrics["test/cold/psnr_y"] > 5
    assert "val/psnr_y" in warm.metrics
    tags = runs["dataset_matrix"].data.tags
    assert tags["claim/matrix-fid"].startswith("not enough evidence")
    files = {f.path for f in client.list_artifacts(runs["dataset_matrix"].info.run_id)}
    assert {"matrix.csv", "heat-1.svg", "strip.png", "study.md"} <= files
