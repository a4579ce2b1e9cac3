"""Promotion against a real MLflow server: weights, tags and aliases travel over HTTP, also to and from S3."""

import json
import shutil

import pandas as pd
import pytest
from helpers.mlflow_server import Server
from helpers.promotion import Known, sweep
from pyarrow import fs

from orchestrator.registry import describe, evaluate, promote
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.load_model import load_generator
from orchestrator.registry.registry import Registry
from orchestrator.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_promote_refuse_load_and_roll_back_over_http(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "GateImages", Known)
    storage = tmp_path / "runs"
    for name, quality in (("first", 1.0), ("worse", 0.4), ("better", 2.0)):
        sweep(storage, name, quality)
    server = Server(tmp_path)
    server.start()
    try:
        outcomes = [
            promote.promote(CandidateSource(str(storage), name, "upsweep-demo", server.uri))
            for name in ("first", "worse", "better")
        ]
        assert [outcome.is_champion for outcome in outcomes] == [True, False, True]
        generator, _ = load_generator("models:/upsweep-demo@champion", server.uri)
        assert float(generator.tail.bias[0].detach()) == 2.0
        registry = Registry(server.uri, "upsweep-demo")
        assert registry.rollback() == (3, 1)
        generator, _ = load_generator("models:/upsweep-demo@champion", server.uri)
        assert float(generator.tail.bias[0].detach()) == 1.0
        version = registry.client.get_model_version("upsweep-demo", "2")
        files = {found.path for found in registry.client.list_artifacts(version.run_id)}
        assert {"model_card.md", "gate_per_image.parquet"} <= files
        table = pd.read_parquet(registry.client.download_artifacts(version.run_id, "gate_per_image.parquet"))
        assert len(table) == 3 * 40 and set(table["model"]) == {"candidate", "bicubic", "champion"}
        assert "refused by the gate: psnr_y -0.6" in describe.history(registry)
    finally:
        server.kill()


def test_a_sweep_in_s3_is_promoted_into_a_registry_whose_files_lie_in_s3(tmp_path, monkeypatch, s3):
    monkeypatch.setattr(evaluate, "GateImages", Known)
    sweep(tmp_path / "runs", "first", 1.0)
    rows = tmp_path / "runs" / "first" / "leaderboard.json"
    told = json.loads(rows.read_text())
    told[0]["checkpoint"] = f"{s3}/runs/first/trials/confirm-1/best"
    rows.write_text(json.dumps(told))
    there = Storage(f"{s3}/runs")
    fs.copy_files(str(tmp_path / "runs"), there.base, destination_filesystem=there.files)
    shutil.rmtree(tmp_path / "runs")
    server = Server(tmp_path, artifacts=f"{s3}/registry")
    server.start()
    try:
        assert promote.promote(CandidateSource(there.root, "first", "upsweep-demo", server.uri)).is_champion
        generator, _ = load_generator("models:/upsweep-demo@champion", server.uri)
        assert float(generator.tail.bias[0].detach()) == 1.0
        kept = Storage(f"{s3}/registry").files.get_file_info(
            fs.FileSelector("photos/registry", recursive=True)
        )
        assert any(found.base_name.endswith(".safetensors") for found in kept)
    finally:
        server.kill()
