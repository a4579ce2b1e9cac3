"""`make ui` prints the address of each sweep's runs: MLflow's own start page leads to a page for agents."""

import runpy
import socket

import mlflow
from helpers.paths import ROOT

from orchestrator.tracking.run_key import RUNS_PAGE, VIEW_PAGE, VIEW_TAG, runs_view


def test_each_experiment_with_runs_has_the_address_of_its_runs_latest_first(tmp_path):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    first, second = (client.create_experiment(name) for name in ("upsweep/faces", "upsweep/rooms"))
    client.create_experiment("upsweep/empty")
    client.set_experiment_tag(second, VIEW_TAG, runs_view("swd", "psnr_y"))
    for number in (first, second):
        client.create_run(number)
    pages = runpy.run_path(str(ROOT / "tools" / "mlflow_ui.py"))["pages"]
    assert pages(str(tmp_path / "mlflow.db"), "5001") == [
        f"{name}: http://127.0.0.1:5001/#/experiments/{number}/{page}"
        for name, number, page in [("upsweep/rooms", second, VIEW_PAGE), ("upsweep/faces", first, RUNS_PAGE)]
    ]


def test_a_taken_port_is_one_sentence(capsys):
    serve = runpy.run_path(str(ROOT / "tools" / "mlflow_ui.py"))["serve"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert serve("runs/mlflow.db", port) == 2
    assert (
        capsys.readouterr().err == f"port {port} is taken by another program; choose one: PORT=5001 make ui\n"
    )
