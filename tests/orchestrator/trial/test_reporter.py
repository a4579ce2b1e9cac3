"""What passes between a trial and Tune: results, and the pointer to a checkpoint."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from orchestrator.trial import reporter
from orchestrator.trial.reporter import POINTER, TuneReporter


class Tune:
    """A double of ray.tune that reads the checkpoint it is given at once, as Ray does."""

    def __init__(self):
        self.reports, self.checkpoint = [], None
        self.Checkpoint = SimpleNamespace(from_directory=lambda folder: SimpleNamespace(folder=folder))

    def report(self, result, checkpoint=None):
        self.reports.append(
            (result, checkpoint and json.loads(open(f"{checkpoint.folder}/{POINTER}").read()))
        )

    def get_checkpoint(self):
        return self.checkpoint


@pytest.fixture
def tune(monkeypatch):
    fake = Tune()
    monkeypatch.setattr(reporter, "tune", fake)
    return fake


def test_a_pointer_is_sent_as_tune_s_own_checkpoint_and_only_if_it_is_new(tune, tmp_path):
    reports = TuneReporter(tmp_path / "scratch")
    for pointer in ("", "p/2", "p/4", ""):
        reports.report({"step": 1}, pointer)
    sent = [checkpoint for _, checkpoint in tune.reports]
    assert sent == [None, {"checkpoint": "p/2"}, {"checkpoint": "p/4"}, None]
    assert [r for r, _ in tune.reports] == [{"step": 1}] * 4


def test_the_pointer_that_tune_returns_is_the_one_it_was_sent(tune, tmp_path):
    reports = TuneReporter(tmp_path / "scratch")
    assert reports.pointer() == "", "a new trial"
    reports.report({}, "p/4")
    tune.checkpoint = SimpleNamespace(as_directory=lambda: nullcontext(tmp_path / "scratch" / "pointer"))
    assert reports.pointer() == "p/4"
