"""Promotion by command line: promoted, refused, rolled back, listed, exported."""

import hashlib
import html
import json
import pickle
import re
import shlex

import pytest
from helpers.promotion import Known, storage, sweep  # noqa: F401
from safetensors.torch import load_file

from datasets.errors import UserError
from experiments import promote
from experiments.common import cli
from orchestrator.registry import evaluate
from orchestrator.registry import promote as promotion
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.registry import Registry
from orchestrator.report.data import SweepResults
from orchestrator.report.tables import _promotion as promotion_of
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.writer import KEY_TAG


def call(storage, *arguments, monkeypatch):
    where = ["--storage", str(storage), "--model", "upsweep-demo"]
    monkeypatch.setattr("sys.argv", ["promote.py", *arguments, *where])
    with pytest.raises(SystemExit) as stop:
        cli.run(promote.main)
    return stop.value.code


def test_better_models_win_worse_ones_are_refused_and_rollback_restores(storage, monkeypatch, capsys):
    sweep(storage, "first", 1.0, ended=1.0)
    assert call(storage, monkeypatch=monkeypatch) == 0
    assert "upsweep-demo v1: promoted to champion" in capsys.readouterr().out

    sweep(storage, "worse", 0.4, ended=2.0)
    assert call(storage, monkeypatch=monkeypatch) == 3
    told = capsys.readouterr().out
    assert "v2: refused" in told and "FAIL psnr_y -0.6 [-0.6, -0.6] dB against champion" in told

    sweep(storage, "better", 2.0, ended=3.0, design="<b>bold</b> | b8")
    assert call(storage, "--dry-run", monkeypatch=monkeypatch) == 0
    told = capsys.readouterr().out.splitlines()
    assert "upsweep-demo (dry run): would be promoted" in told
    command = f"upsweep promote better --storage {storage} --model upsweep-demo"
    assert told[-1] == f"promote: {command}"
    assert call(storage, "better", monkeypatch=monkeypatch) == 0
    capsys.readouterr()

    assert call(storage, "--list", monkeypatch=monkeypatch) == 0
    told = capsys.readouterr().out
    assert "v3 [champion]" in told and "v1 [previous]" in told and "v2 b1 bn (refused)" in told
    assert "refused by the gate: psnr_y -0.6" in told

    assert call(storage, "--rollback", monkeypatch=monkeypatch) == 0
    assert "v1 is champion again, v3 was rolled back" in capsys.readouterr().out

    registry = Registry(default_uri(storage), "upsweep-demo")
    newest = registry.versions()[0]
    assert newest.tags["upsweep.decision"] == "promoted"
    assert newest.tags["gate/psnr_y"] == "26" and newest.tags["gate/champion/swd"] == "9"
    assert newest.tags["upsweep.train.digest"] == "train0123"
    card = registry.client.get_model_version("upsweep-demo", "3").description
    assert "| champion | 25 | 9 |" in card and "<b>" not in card
    assert registry.count_gate_use("gate0123") == 5, "the dry run counts"


def test_a_psnr_network_that_stands_in_for_a_gan_is_announced_and_named_with_the_reason(
    storage, monkeypatch, capsys
):
    sweep(storage, "first", 1.0)
    facts = json.loads((storage / "first" / "sweep.json").read_text())
    facts |= {"pick_design": "PSNR network of srresnet", "pick_test": {"psnr_y": 30.0}}
    facts["pick_reason"] = "b8 fails 1 comparison; so the PSNR network that is best on val ships"
    (storage / "first" / "sweep.json").write_text(json.dumps(facts))
    why = "not a GAN, because no GAN of sweep first was good enough: b8 fails 1 comparison"
    assert call(storage, monkeypatch=monkeypatch) == 0
    first, second, _, third, *_ = capsys.readouterr().out.splitlines()
    assert first == f"the gate judges the pick of sweep first: PSNR network of srresnet ({why})"
    assert second == "upsweep-demo v1: promoted to champion" and third.strip() == why
    registry = Registry(default_uri(storage), "upsweep-demo")
    assert f"This network is {why}." in registry.client.get_model_version("upsweep-demo", "1").description


@pytest.mark.parametrize("question", [["--list"], ["--rollback"], ["--export", "x.onnx"]])
def test_a_question_about_a_store_that_is_not_there_makes_none(question, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(tmp_path / "new" / "runs", *question, monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert f"nothing is registered: there is no store at {tmp_path}/new/runs/mlflow.db; set --storage" in said
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_does_not_exist_or_picked_nothing_is_a_users_mistake(storage, monkeypatch, capsys):
    assert call(storage, monkeypatch=monkeypatch) == 2
    assert "no finished sweep with a pick" in capsys.readouterr().err
    sweep(storage, "empty", 1.0, pick=None)
    assert call(storage, "other", monkeypatch=monkeypatch) == 2
    assert "no sweep 'other'" in capsys.readouterr().err
    assert call(storage, "empty", monkeypatch=monkeypatch) == 2
    said = capsys.readouterr().err
    assert "picked no model (no design reached the floor)" in said and "takes up to" not in said


def test_the_command_in_a_row_of_the_report_promotes_the_network_of_that_run(storage, monkeypatch, capsys):
    """The pick is another trial: --run does not ask for it."""
    sweep(storage, "demo", 1.0, pick="confirm-7")
    client = Registry(default_uri(storage), "any").client
    run = client.create_run(client.create_experiment("e"), tags={KEY_TAG: "demo/confirm/confirm-1"})
    facts, rows = (json.loads((storage / "demo" / f).read_text()) for f in ("sweep.json", "leaderboard.json"))
    facts |= {"request": {"storage": str(storage)}}
    row = rows[0] | {"mlflow_run_id": run.info.run_id, "verdict": "confirmed"}
    results = SweepResults(storage / "demo", facts, [row], "psnr_y", "swd")
    command = shlex.split(re.search("<code>(.*)</code>", html.unescape(promotion_of(results, row)))[1])
    assert command[:3] == ["upsweep", "promote", "--run"] and str(storage) in command
    monkeypatch.setattr("sys.argv", ["promote.py", *command[2:], "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        cli.run(promote.main)
    assert not stop.value.code and "upsweep-demo (dry run): would be promoted" in capsys.readouterr().out
    for other in ({"checkpoint": None}, {"diverged": True}):
        assert "promote" not in promotion_of(results, row | other)


def test_a_damaged_checkpoint_and_an_unreachable_store_are_named(storage, monkeypatch, capsys):
    sweep(storage, "first", 1.0)
    assert call(storage, "--tracking-uri", "http://127.0.0.1:9", monkeypatch=monkeypatch) == 2
    assert "no MLflow server answers" in capsys.readouterr().err
    weights = storage / "first" / "trials" / "confirm-1" / "best" / "generator_ema.safetensors"
    weights.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UserError, match="damaged: generator_ema.safetensors"):
        promotion.promote(CandidateSource(str(storage), "first"))


def test_a_promotion_that_another_one_overtook_is_refused(storage, monkeypatch, capsys):
    sweep(storage, "slow", 1.0)
    sweep(storage, "fast", 2.0)

    class Overtaken(Known):
        def measure_bicubic(self):
            monkeypatch.setattr(evaluate, "GateImages", Known)
            promotion.promote(CandidateSource(str(storage), "fast", "upsweep-demo"))
            return super().measure_bicubic()

    monkeypatch.setattr(evaluate, "GateImages", Overtaken)
    assert call(storage, "slow", monkeypatch=monkeypatch) == 2
    assert "changed from none to v1 while v2 was measured; run" in capsys.readouterr().err
    registry = Registry(default_uri(storage), "upsweep-demo")
    assert registry.by_alias("champion").number == 1 and registry.by_alias("challenger").number == 2


def test_force_is_recorded_with_its_reason_and_the_champion_can_be_exported(storage, monkeypatch, capsys):
    sweep(storage, "first", 1.0)
    sweep(storage, "worse", 0.4)
    assert call(storage, "first", monkeypatch=monkeypatch) == 0
    assert call(storage, "worse", "--force", "the first <b>tints</b> skin", monkeypatch=monkeypatch) == 0
    assert "v2: promoted to champion against the gate (the first <b>" in capsys.readouterr().out
    registry = Registry(default_uri(storage), "upsweep-demo")
    version = registry.by_alias("champion")
    assert version.number == 2 and version.tags["upsweep.decision"] == "forced"
    assert "forced against the gate: the first <b>tints</b> skin" in version.events[-1]
    card = registry.client.get_model_version("upsweep-demo", "2").description
    assert "**Forced** against the gate: the first ‹b›tints‹/b› skin" in card

    target = storage / "best.safetensors"
    assert call(storage, "--export", str(target), monkeypatch=monkeypatch) == 0
    assert load_file(target)["tail.bias"][0] == pytest.approx(0.4)
    assert call(storage, "--export", str(storage / "best.pt"), monkeypatch=monkeypatch) == 2
    assert "must end in .onnx, .safetensors or .pth" in capsys.readouterr().err
    assert call(storage, "--export", str(storage / "best.pth"), monkeypatch=monkeypatch) == 2
    assert "no public tool knows srresnet with these settings" in capsys.readouterr().err


def test_a_network_that_puts_out_no_numbers_is_named(storage, monkeypatch, capsys):
    sweep(storage, "first", float("nan"))

    class Real(Known):
        def measure(self, generator, *_):
            raise FloatingPointError("the generator's output is not finite for key 1")

    monkeypatch.setattr(evaluate, "GateImages", Real)
    assert call(storage, monkeypatch=monkeypatch) == 2
    assert (
        "the network of sweep first gives values that are not finite (the generator's output"
        in capsys.readouterr().err
    )


def test_a_pickle_in_place_of_weights_is_refused_and_not_run(storage, tmp_path):
    sweep(storage, "first", 1.0)
    folder = storage / "first" / "trials" / "confirm-1" / "best"
    bomb = pickle.dumps(Bomb(tmp_path / "ran"))
    (folder / "generator_ema.safetensors").write_bytes(bomb)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["generator_ema.safetensors"] = hashlib.sha256(bomb).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="not a safetensors file"):
        promotion.promote(CandidateSource(str(storage), "first"))
    assert not (tmp_path / "ran").exists()


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")
