"""Trials run in this process against a double of Ray Tune."""

import json
import math
from types import SimpleNamespace

import pytest
from helpers.tiny import noise

from datasets.config import DataConfig
from orchestrator.trial import inputs, reporter
from orchestrator.trial.spec import TrialSpec
from orchestrator.trial.trial import USUAL, Trial
from trainers.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    ObjectiveConfig,
    RunConfig,
    TrainConfig,
    flatten,
    override,
)

CONFIG = TrainConfig(
    generator=GeneratorConfig(num_blocks=1, channels=4, norm="none", global_skip="bicubic"),
    discriminator=DiscriminatorConfig(base_channels=4, num_layers=4, norm="none"),
    loss=LossConfig(pixel="l1", pixel_weight=1.0, content_weight=0.0, adversarial_weight=0.1),
    objective=ObjectiveConfig(perceptual="swd"),
    # checkpoints come before the first log, as a user may set them
    run=RunConfig(
        psnr_steps=6,
        gan_steps=6,
        psnr_eval_every_steps=3,
        eval_every_steps=2,
        log_every_steps=4,
        checkpoint_every_steps=2,
    ),
)


class FakeTune:
    """Stands where Ray Tune does: keeps reports, hands out the last pointer."""

    def __init__(self):
        self.reports, self.pointer = [], None
        self.Checkpoint = SimpleNamespace(from_directory=self._read)

    def _read(self, folder):
        return json.loads(open(f"{folder}/{reporter.POINTER}").read())["checkpoint"]

    def report(self, values, checkpoint=None):
        self.reports.append(values)

    def get_checkpoint(self):
        return None


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("photos") / "noise")


@pytest.fixture
def run(tmp_path, photographs, monkeypatch):
    """run(stage, course, **settings) -> (reports, trial)"""
    fake = FakeTune()
    monkeypatch.setattr(reporter, "tune", fake)

    def go(stage, course=USUAL, **settings):
        fake.reports.clear()
        data = DataConfig(train=str(photographs), crop_px=32, batch_size=2)
        config = override(CONFIG, flatten(data, "data.") | settings)
        digests = {r: inputs.open_role(config.data, r, tmp_path).digest for r in ("train", "val")}
        storage = str(tmp_path / "runs")
        metrics = ("psnr_y", "swd")
        job = TrialSpec("s", stage, storage, str(tmp_path), flatten(config), digests, metrics=metrics)
        trial = Trial(f"{stage}-{course.since or 1}", config, job, course)
        trial.run()
        for report in fake.reports:
            numbers = [v for v in report.values() if isinstance(v, float)]
            assert all(map(math.isfinite, numbers)), "nothing but finite numbers ever reaches Tune"
            assert {"phase", "step", "gan_step", "max_steps", "seconds"} <= set(report)
        return list(fake.reports), trial

    return go
