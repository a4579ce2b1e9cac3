"""From a sweep's folder to a champion by command line: promoted, refused, rolled back, listed."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datasets.errors import UserError
from experiments import promote as script
from orchestrator import promotion
from orchestrator.gate_set import GateSet, Measured
from orchestrator.registry import Registry
from orchestrator.statistics import Interval
from orchestrator.tracking import default_uri
from trainers import checkpoint
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig, flatten
from trainers.evaluate import Evaluation
from trainers.models import build_generator


class Judged(GateSet):
    """A gate set on which a network's quality is the first bias of its last convolution."""

    def __init__(self, config, work_dir, device):
        self.images, self.train = SimpleNamespace(digest="gate0123"), SimpleNamespace(digest="train0123")
        self.pairs, self.scale, self.device = [None] * 40, config.generator.scale, device
        self.metrics = (config.objective.distortion, config.objective.perceptual)

    def measure(self, generator):
        return self._of(float(generator.tail.bias[0].detach()))

    def measure_bicubic(self):
        return self._of(0.0)

    def _of(self, quality):
        psnr = list(24 + quality + np.linspace(-1, 1, 40))
        summary = {"psnr_y": float(np.mean(psnr)), "swd": 10 - quality}
        protocol = {"psnr_y": "Y", "swd": "patches"}
        return Measured(Evaluation([str(i) for i in range(40)], {"psnr_y": psnr}, summary, protocol), [])

    def set_differences(self, candidate, references):
        def difference(name):
            return candidate.evaluation.summary["swd"] - references[name].evaluation.summary["swd"]

        return {("swd", n): Interval(difference(n), difference(n), difference(n), 40) for n in references}


def sweep(storage, name, quality, *, ended=1.0, pick="confirm-1", design="b1 bn"):
    objective = ObjectiveConfig(perceptual="swd")
    small = GeneratorConfig(num_blocks=1, channels=4)
    config = TrainConfig(recipe="demo", generator=small, objective=objective)
    generator = build_generator(config.generator)
    with torch.no_grad():
        generator.tail.bias[0] = quality
    place = checkpoint.save_generator(storage / name / "trials" / "confirm-1" / "best", config, generator, {})
    row = {
        "trial_id": "confirm-1",
        "stage": "confirm",
        "design": design,
        "config": flatten(config),
        "checkpoint": str(place),
        "seed": 3,
        "steps": 10,
        "max_steps": 10,
    }
    told = {
        "name": name,
        "recipe": "demo",
        "ended": ended,
        "status": "finished",
        "pick": pick,
        "pick_reason": "no design reached the floor",
        "tracking_uri": default_uri(storage),
        "experiment": "upsweep",
        "command": "python experiments/sweep.py",
        "commit": "abc",
        "gpu_hours": 0.5,
        "data": {"train": {"spec": "demo", "digest": "train0123", "n": 100}},
    }
    (storage / name / "sweep.json").write_text(json.dumps(told))
    (storage / name / "leaderboard.json").write_text(json.dumps([row]))


@pytest.fixture
def storage(tmp_path, monkeypatch, migrated_database):
    monkeypatch.setattr(promotion, "GateSet", Judged)
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_database, tmp_path / "runs")
    return tmp_path / "runs"


def call(storage, *arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["promote.py", *arguments, "--storage", str(storage)])
    return script.main()


def test_better_models_win_worse_ones_are_refused_and_rollback_restores(storage, monkeypatch, capsys):
    sweep(storage, "first", 1.0, ended=1.0)
    assert call(storage, monkeypatch=monkeypatch) == 0
    assert "upsweep-demo v1: promoted to champion" in capsys.readouterr().out

    sweep(storage, "worse", 0.4, ended=2.0)
    assert call(storage, monkeypatch=monkeypatch) == 3
    told = capsys.readouterr().out
    assert "v2: refused" in told and "FAIL psnr_y -0.6 [-0.6, -0.6] against champion" in told

    sweep(storage, "better", 2.0, ended=3.0, design="<b>bold</b> | b8")
    assert call(storage, "--dry-run", monkeypatch=monkeypatch) == 0
    assert "(dry run): would be promoted" in capsys.readouterr().out
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
    assert registry.count_gate_use("gate0123") == 4


def test_a_sweep_that_does_not_exist_or_picked_nothing_is_a_users_mistake(storage, monkeypatch, capsys):
    assert call(storage, monkeypatch=monkeypatch) == 2
    assert "no finished sweep with a pick" in capsys.readouterr().err
    sweep(storage, "empty", 1.0, pick=None)
    assert call(storage, "other", monkeypatch=monkeypatch) == 2
    assert "no sweep 'other'" in capsys.readouterr().err
    assert call(storage, "empty", monkeypatch=monkeypatch) == 2
    assert "picked no model (no design reached the floor)" in capsys.readouterr().err


def test_a_damaged_checkpoint_and_an_unreachable_store_are_named(storage, monkeypatch, capsys):
    sweep(storage, "first", 1.0)
    assert call(storage, "--tracking-uri", "http://127.0.0.1:9", monkeypatch=monkeypatch) == 2
    assert "no MLflow server answers" in capsys.readouterr().err
    weights = storage / "first" / "trials" / "confirm-1" / "best" / "generator_ema.safetensors"
    weights.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UserError, match="damaged: generator_ema.safetensors"):
        promotion.promote(storage, "first")
