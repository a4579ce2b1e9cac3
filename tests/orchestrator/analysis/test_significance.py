"""Verdicts, and the cases in which the evidence allows none."""

import pytest

from orchestrator.analysis.intervals import Comparison, Interval
from orchestrator.analysis.significance import (
    BEATS,
    LOSES,
    NOT_ENOUGH,
    NOT_SEPARABLE,
    between_designs,
    holm,
)


def _comparison(low, high, p=0.001, seeds=5, images=100):
    return Comparison(Interval((low + high) / 2, low, high, seeds), p, seeds, images)


def test_holm_multiplies_from_the_smallest_and_never_falls():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_a_clear_difference_beats_in_the_direction_of_the_metric():
    up = {"x": _comparison(0.1, 0.3)}
    assert between_designs(up, "max")["x"].word == BEATS
    assert between_designs(up, "min")["x"].word == LOSES
    assert between_designs({"x": _comparison(-0.3, -0.1)}, "min")["x"].word == BEATS


def test_an_interval_around_zero_is_not_separable():
    assert between_designs({"x": _comparison(-0.1, 0.3, p=0.2)}, "max")["x"].word == NOT_SEPARABLE


def test_several_arms_need_more_than_one():
    arms = {name: _comparison(0.01, 0.3, p=0.03) for name in "abc"}
    assert between_designs({"a": arms["a"]}, "max")["a"].word == BEATS
    assert {v.word for v in between_designs(arms, "max").values()} == {NOT_SEPARABLE}


@pytest.mark.parametrize(("seeds", "images"), [(2, 100), (5, 29), (1, 1)])
def test_below_the_stated_sizes_there_is_no_verdict_and_no_interval(seeds, images):
    verdict = between_designs({"x": _comparison(0.1, 0.3, seeds=seeds, images=images)}, "max")["x"]
    assert (verdict.word, verdict.interval, verdict.p) == (NOT_ENOUGH, None, None)
    assert verdict.estimate == pytest.approx(0.2)


@pytest.mark.parametrize("seeds", [3, 4])
def test_three_or_four_seeds_never_beat(seeds):
    verdict = between_designs({"x": _comparison(0.1, 0.3, seeds=seeds)}, "max")["x"]
    assert verdict.word == NOT_SEPARABLE and verdict.interval is not None
