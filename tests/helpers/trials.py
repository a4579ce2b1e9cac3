"""Trials run in this process against a double of Ray Tune."""

import json
import math
from types import SimpleNamespace

import pytest
from helpers.tiny import noise

from datasets.config import DataConfig
from orchestrator.results.trial_report import TrialReport
from orchestrator.trial import inputs, reporter
from orchestrator.trial.context import TrialContext
from orchestrator.trial.spec import Lineage, TrialSpec
from orchestrator.trial.trial import Trial
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
NO_LINEAGE = Lineage()
BICUBIC = {"psnr_y": 20.0, "swd": 50.0, "ssim_y": 0.5}


class FakeTune:
    """A double of the module ray.tune: keeps reports and returns the checkpoint set by a test."""

    def __init__(self):
        self.reports: list[TrialReport] = []
        self.Checkpoint = SimpleNamespace(from_directory=self._read)

    def _read(self, folder):
        return json.loads(open(f"{folder}/{reporter.POINTER}").read())["checkpoint"]

    def report(self, result, checkpoint=None):
        self.reports.append(TrialReport.from_result(result))

    def get_checkpoint(self):
        return None


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("photos") / "noise")


@pytest.fixture
def new_context(tmp_path, photographs):
    """new_context(stage, lineage, **settings) -> the context of a trial of one process."""

    def make(stage, lineage=NO_LINEAGE, start="", metrics=("psnr_y", "swd"), **settings):
        data = DataConfig(train=str(photographs), crop_px=32, batch_size=2)
        config = override(CONFIG, flatten(data, "data.") | settings)
        digests = {r: inputs.open_role(config.data, r, tmp_path).digest for r in ("train", "val")}
        storage, measured = str(tmp_path / "runs"), {"metrics": metrics, "bicubic": BICUBIC}
        measured["start"] = start
        spec = TrialSpec("s", stage, storage, str(tmp_path), flatten(config), digests, **measured)
        return TrialContext.open(f"{stage}-{lineage.start_step or 1}", config, spec, lineage)

    return make


@pytest.fixture
def run(new_context, monkeypatch):
    """run(stage, lineage, **settings) -> (reports, trial)"""
    fake = FakeTune()
    monkeypatch.setattr(reporter, "tune", fake)

    def go(stage, lineage=NO_LINEAGE, **settings):
        fake.reports.clear()
        trial = Trial(new_context(stage, lineage, **settings))
        trial.run()
        for report in fake.reports:
            assert all(map(math.isfinite, numbers_of(report))), "nothing but finite numbers reaches Tune"
            assert report.attempt and (report.max_steps > 0 or report.phase == "psnr")
        return list(fake.reports), trial

    return go


def numbers_of(report):
    """Return every measured number and time of a report."""
    usage = (report.usage, report.attempt_usage)
    times = [seconds for u in usage for seconds in (u.seconds, u.cpu_seconds)]
    tables = (report.ranked, report.latest, report.warm_start, report.gradient_shares, report.diagnostics)
    return [*times, *(value for table in tables for value in table.values())]
