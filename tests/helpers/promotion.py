"""A sweep to promote from, and a gate set with known numbers."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from orchestrator.analysis.intervals import Interval
from orchestrator.registry import evaluate
from orchestrator.registry.gate_images import GateImages, Measured
from orchestrator.results.image_strips import tabulate
from orchestrator.tracking.server import default_uri
from trainers import checkpoint
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig, flatten
from trainers.evaluate import Evaluation
from trainers.models import build_generator


class Known(GateImages):
    """A gate set on which a network's quality is the first bias of its last convolution."""

    def __init__(self, config, work_dir, device, progress=None):
        self.images = SimpleNamespace(digest="gate0123", name="demo")
        self.train = SimpleNamespace(digest="train0123", name="demo")
        self.pairs, self.scale, self.device = [None] * 40, config.generator.scale, device
        self.metrics = (config.objective.distortion, config.objective.perceptual)

    def measure(self, generator, runs=1, progress=None):
        return self._of(float(generator.tail.bias[0].detach()))

    def measure_bicubic(self):
        return self._of(0.0)

    def _of(self, quality):
        psnr = list(24 + quality + np.linspace(-1, 1, 40))
        summary = {"psnr_y": float(np.mean(psnr)), "swd": 10 - quality}
        protocol = {"psnr_y": "Y", "swd": "patches"}
        return Measured(Evaluation([str(i) for i in range(40)], {"psnr_y": psnr}, summary, protocol), [])

    def defects(self, candidate, champion):
        return {}

    def pictures(self, candidate, bicubic):
        sheet = tabulate([[np.full((8, 8, 3), 60 * k, np.uint8) for k in range(4)]], ["ours"])
        return {"png": sheet, "captions": ["median gain of 40: 7, psnr_y 25.00, bicubic 24.00"]}

    def sides(self):
        return 96, 128

    def set_differences(self, candidate, references):
        def difference(name):
            return candidate.evaluation.summary["swd"] - references[name].evaluation.summary["swd"]

        return {("swd", n): Interval(difference(n), difference(n), difference(n), 40) for n in references}


def sweep(storage, name, quality, *, ended=1.0, pick="confirm-1", design="b1 bn", max_ms=0.0):
    objective = ObjectiveConfig(perceptual="swd", max_ms=max_ms)
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
        "command": "upsweep sweep",
        "commit": "abc",
        "gpu_hours": 0.5,
        "data": {"train": {"spec": "demo", "digest": "train0123", "n": 100}},
    }
    (storage / name / "sweep.json").write_text(json.dumps(told))
    (storage / name / "leaderboard.json").write_text(json.dumps([row]))


@pytest.fixture
def storage(tmp_path, monkeypatch, migrated_database):
    monkeypatch.setattr(evaluate, "GateImages", Known)
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_database, tmp_path / "runs")
    return tmp_path / "runs"
