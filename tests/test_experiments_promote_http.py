"""Promotion against a real MLflow server: weights, tags and aliases travel over HTTP."""

import pandas as pd
import pytest
from test_experiments_promote import Known, sweep
from test_orchestrator_tracking_outage import Server

from orchestrator import judgement, promotion
from orchestrator.promotion import Source
from orchestrator.registry import Registry, load_generator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_promote_refuse_load_and_roll_back_over_http(tmp_path, monkeypatch):
    monkeypatch.setattr(judgement, "GateSet", Known)
    storage = tmp_path / "runs"
    for name, quality in (("first", 1.0), ("worse", 0.4), ("better", 2.0)):
        sweep(storage, name, quality)
    server = Server(tmp_path)
    server.start()
    try:
        outcomes = [
            promotion.promote(Source(str(storage), name, "", server.uri))
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
        assert "refused by the gate: psnr_y -0.6" in promotion.history(registry)
    finally:
        server.kill()
