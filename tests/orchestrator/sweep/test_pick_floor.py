"""What a pick has to reach: bicubic, or the champion less what it may lose, on the sweep's own images."""

import shutil

import pytest
from helpers.tiny import tiny

from orchestrator.registry import load_model
from orchestrator.registry.registry import Registry
from orchestrator.sweep.pick_floor import _comparable, distortion_floor
from orchestrator.sweep.request import Request
from orchestrator.tracking.server import default_uri
from trainers.models import build_generator

CONFIG = tiny()


@pytest.fixture
def ask(tmp_path, migrated_database, monkeypatch):
    """ask(champion's dB, bicubic's dB, ...) -> what pick_floor answers for a sweep faces-2"""

    def go(champion, bicubic, kept=CONFIG, promoted=True):
        shutil.copy(migrated_database, tmp_path)
        uri = default_uri(tmp_path)
        registry = Registry(uri, "upsweep-faces")
        run = registry.client.create_run(
            registry.client.create_experiment("e", artifact_location="file:///t")
        )
        registry.register("file:///nowhere", run.info.run_id, {}, "card")
        if promoted:
            registry.promote(1, None)
        network = build_generator(CONFIG.generator)
        asked = []

        def load(uri, store):
            asked.append(uri)
            return network, kept

        monkeypatch.setattr(load_model, "load_generator", load)
        request = Request(config=CONFIG, name="faces-2", tracking_uri=uri)
        answer = distortion_floor(request, bicubic, lambda network: {"psnr_y": champion})
        assert asked in ([], ["models:/upsweep-faces/1"])
        return answer

    return go


def test_the_champion_may_be_missed_by_half_a_decibel(ask):
    assert ask(30.0, 28.0) == (29.5, "the champion's 30.00 less 0.5")


def test_bicubic_is_the_least(ask):
    assert ask(28.3, 28.0) == (28.0, "bicubic")


def test_a_version_that_was_never_promoted_sets_nothing(ask):
    assert ask(30.0, 28.0, promoted=False) == (28.0, "bicubic")


def test_a_champion_of_another_task_cannot_be_measured_on_these_pairs(ask):
    assert ask(30.0, 28.0, kept=tiny(data__input="grey")) == (28.0, "bicubic")


@pytest.mark.parametrize(
    "changes, is_comparable",
    [
        ({"optim__lr_g": 1e-5, "data__train": "elsewhere"}, True),
        ({"generator__scale": 2}, False),
        ({"data__degradation": "pil"}, False),
        ({"data__canny_high": 0.3}, False),
        ({"data__canny_low": 0.05}, False),
        ({"data__canny_sigma": 2.0}, False),
    ],
)
def test_scale_and_network_input_decide_what_can_be_measured_on_the_same_pairs(changes, is_comparable):
    edges = {"data__input": "edges"}
    assert _comparable(tiny(**edges | changes), tiny(**edges)) is is_comparable


def test_a_store_that_does_not_answer_leaves_bicubic_and_says_so():
    request = Request(config=CONFIG, name="faces", tracking_uri="http://127.0.0.1:9")
    floor, words = distortion_floor(request, 28.0, lambda device: None)
    assert floor == 28.0
    assert words.startswith("bicubic; the champion was not asked: no MLflow server answers")


def test_a_store_that_does_not_exist_is_not_made(tmp_path):
    request = Request(config=CONFIG, name="faces", tracking_uri=default_uri(tmp_path))
    assert distortion_floor(request, 28.0, lambda device: None) == (28.0, "bicubic")
    assert not list(tmp_path.iterdir())
