"""The steps of a promotion in order, and what they leave in the store."""

import json

import pandas as pd
import pytest
from helpers.promotion import Known, storage, sweep  # noqa: F401
from PIL import Image

from datasets.errors import UserError
from orchestrator.registry import evaluate
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.gate import USES
from orchestrator.registry.promote import AlreadyChampion, promote, roll_back
from orchestrator.registry.registry import Registry
from orchestrator.registry.source_registry import open_registry
from orchestrator.results.image_strips import CELL_PX
from orchestrator.tracking.server import default_uri


def test_every_image_of_every_model_is_a_row_of_the_stored_table(storage, tmp_path):
    sweep(storage, "demo", 1.0)
    outcome = promote(CandidateSource(str(storage), "demo"))
    assert (outcome.model, outcome.version, outcome.is_champion) == ("upsweep-demo", 1, True)
    registry = Registry(default_uri(storage), outcome.model)
    run_id = registry.client.get_model_version(outcome.model, "1").run_id
    run = registry.client.get_run(run_id)
    assert run.data.metrics["gate/psnr_y"] == 25.0 and run.data.tags["upsweep.kind"] == "promotion"
    table = pd.read_parquet(registry.client.download_artifacts(run_id, "gate_per_image.parquet"))
    assert list(table.columns) == ["model", "image", "metric", "value"] and len(table) == 80
    picture = Image.open(registry.client.download_artifacts(run_id, "gate_images.png"))
    assert picture.size[0] == 4 * CELL_PX
    card = registry.client.get_model_version(outcome.model, "1").description
    assert f"get-artifact?path=gate_images.png&run_uuid={run_id}" in card and card == outcome.card
    described = registry.client.get_registered_model(outcome.model).description
    assert described.endswith("upsweep upscale PICTURE --model models:/upsweep-demo@champion")
    first = table.iloc[0].to_dict()
    assert first == {"model": "candidate", "image": "0", "metric": "psnr_y", "value": 24.0}


def test_a_dry_run_registers_nothing(storage):
    sweep(storage, "demo", 1.0)
    outcome = promote(CandidateSource(str(storage), "demo"), dry_run=True)
    assert outcome.version is None and outcome.is_champion and "decision number 1 on them" in outcome.card
    registry = open_registry(CandidateSource(str(storage)))
    assert registry.model == "upsweep-demo" and registry.versions() == []
    with pytest.raises(UserError, match="upsweep-demo has no previous champion to restore"):
        roll_back(registry)


def test_the_champion_is_not_promoted_again(storage):
    sweep(storage, "demo", 1.0)
    source = CandidateSource(str(storage), "demo")
    assert promote(source).is_champion
    with pytest.raises(AlreadyChampion, match=r"is the champion of upsweep-demo already \(v1\)"):
        promote(source)
    with pytest.raises(AlreadyChampion):
        promote(source, dry_run=True)
    assert len(open_registry(source).versions()) == 1


def test_every_look_at_the_gate_images_counts_and_the_twenty_first_is_refused(storage):
    sweep(storage, "demo", 1.0)
    source = CandidateSource(str(storage), "demo")
    assert "decision number 1 on them" in promote(source, dry_run=True).card
    assert "decision number 2 on them" in promote(source, dry_run=True).card
    registry = open_registry(source)
    for _ in range(USES - 2):
        registry.count_gate_use("gate0123")
    with pytest.raises(UserError, match=r"have served 20 decisions in this registry.*set --gate to images"):
        promote(source)
    assert registry.versions() == []


def test_the_gate_set_can_be_renewed(storage, monkeypatch):
    sweep(storage, "demo", 1.0)
    asked = []

    class Renewed(Known):
        def __init__(self, config, work_dir, device, progress=None):
            super().__init__(config, work_dir, device)
            asked.append(config.data.source("gate"))

    monkeypatch.setattr(evaluate, "GateImages", Renewed)
    source = CandidateSource(str(storage), "demo", gate="fresh")
    outcome = promote(source)
    assert asked == ["fresh"]
    named = "fresh, named with --gate, not the sweep's own"
    assert outcome.other_gate == named and f"- Gate images: {named}" in outcome.card
    version = open_registry(source).versions()[0]
    assert version.tags["upsweep.gate.other"] == named
    assert version.events[-1].endswith(f"passed the gate (gate images: {named})")


def test_a_challenger_of_many_small_losses_meets_the_first_champion(storage):
    """Each may lose 0.5 dB to the present champion, but not to the first one."""
    source = CandidateSource(str(storage), "demo", model="m")
    for version, (quality, promoted) in enumerate(((1.0, True), (1.3, True)), start=1):
        sweep(storage, "demo", quality)
        assert promote(source).is_champion is promoted
        tags = open_registry(source).versions()[0].tags
        assert tags["upsweep.objective"] == "psnr_y, swd, delta 3", version
    sweep(storage, "demo", 1.4)
    sentences = [c.sentence for c in promote(source, dry_run=True).decision.checks]
    assert any("against first champion of the same objective: holds" in s for s in sentences)


def test_another_limit_of_latency_does_not_rid_a_challenger_of_the_champions_margin(storage):
    source = CandidateSource(str(storage), "demo", model="m")
    sweep(storage, "demo", 1.0)
    assert promote(source).is_champion
    sweep(storage, "demo", 1.3, max_ms=9.0)
    sentences = [c.sentence for c in promote(source, dry_run=True).decision.checks]
    assert any("against champion of the same objective" in s for s in sentences)


@pytest.mark.parametrize("other", [{"run": "0123"}, {"checkpoint": "some/folder"}])
def test_a_run_or_checkpoint_does_not_name_the_model_to_roll_back(storage, other):
    sweep(storage, "demo", 1.0)
    message = "act on a registered model, which --run and --checkpoint do not name; set --model"
    with pytest.raises(UserError, match=message):
        open_registry(CandidateSource(str(storage), **other))
    assert open_registry(CandidateSource(str(storage), model="mine", **other)).model == "mine"


def test_a_named_model_is_opened_before_any_sweep_has_finished(storage):
    sweep(storage, "demo", 1.0, ended=None)
    registry = open_registry(CandidateSource(str(storage), model="mine"))
    assert (registry.model, registry.tracking_uri) == ("mine", default_uri(storage))
    with pytest.raises(UserError, match="no finished sweep with a pick"):
        open_registry(CandidateSource(str(storage)))


def test_several_candidates_at_once_are_refused(storage):
    with pytest.raises(UserError, match="exclude each other; give one of them"):
        promote(CandidateSource(str(storage), "demo", run="0123"))


def test_a_login_is_not_sent_to_an_address_that_somebody_else_may_have_written(storage, monkeypatch):
    folder = storage / "demo"
    sweep(storage, "demo", 1.0)
    facts = json.loads((folder / "sweep.json").read_text()) | {"tracking_uri": "http://127.0.0.1:9"}
    (folder / "sweep.json").write_text(json.dumps(facts))
    source = CandidateSource(str(storage), "demo")
    (folder / "sweep.json").chmod(0o666)
    probe = "orchestrator.registry.source_registry.probe"
    monkeypatch.setattr(probe, lambda uri: pytest.fail("it was asked"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with pytest.raises(UserError, match="names http://127.0.0.1:9, and the login .* would be sent there"):
        open_registry(source)
    (folder / "sweep.json").chmod(0o644)
    monkeypatch.setattr(probe, lambda uri: None)
    assert open_registry(source).tracking_uri == "http://127.0.0.1:9"
