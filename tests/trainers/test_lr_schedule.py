"""Learning rates at known fractions of a phase."""

import pytest

from trainers.config.training import SCHEDULES
from trainers.lr_schedule import lr_factor


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("constant", {0: 1, 0.5: 1, 0.999: 1}),
        ("cosine", {0: 1, 0.5: 0.5, 1 / 3: 0.75, 1: 0}),
        ("cosine_restarts", {0: 1, 0.125: 0.5, 0.2499999: 0, 0.25: 1, 0.375: 0.5, 0.75: 1}),
        ("one_cycle", {0: 0.01, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1: 0}),
        ("step", {0: 1, 0.24: 1, 0.25: 0.1, 0.5: 0.01, 0.8: 0.001}),
        ("multistep", {0: 1, 0.49: 1, 0.5: 0.1, 0.74: 0.1, 0.75: 0.01}),
    ],
)
def test_each_schedule_passes_through_known_points(kind, known):
    for fraction, value in known.items():
        assert lr_factor(kind, fraction, (0.5, 0.75), 0.1) == pytest.approx(value, abs=1e-6), fraction


def test_every_schedule_of_the_config_is_one_of_these():
    assert set(SCHEDULES) == {"constant", "cosine", "cosine_restarts", "one_cycle", "step", "multistep"}


def test_warm_up_climbs_and_leaves_the_rest_as_it_was():
    assert lr_factor("constant", 0.0, warm_up=0.1) == pytest.approx(0.01)
    assert lr_factor("constant", 0.05, warm_up=0.1) == pytest.approx(0.5)
    assert lr_factor("cosine", 0.5, warm_up=0.1) == pytest.approx(lr_factor("cosine", 0.5))
    assert lr_factor("one_cycle", 0.05, warm_up=0.5) == lr_factor("one_cycle", 0.05), "it has its own"


def test_the_period_decides_how_often_a_schedule_falls():
    assert lr_factor("step", 0.6, gamma=0.5, period=0.2) == pytest.approx(0.5**3)
    assert lr_factor("cosine_restarts", 0.3, period=0.2) == pytest.approx(0.5)
