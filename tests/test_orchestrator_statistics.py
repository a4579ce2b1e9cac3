"""Intervals with known endings."""

import math

import numpy as np
import pytest

from orchestrator.statistics import Interval, paired_bootstrap


def test_a_constant_difference_is_known_exactly():
    b = np.random.default_rng(0).normal(28, 3, 50)
    interval = paired_bootstrap(b + 0.25, b)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))
    assert interval.n == 50 and interval.excludes_zero


def test_pairing_removes_the_spread_between_images():
    rng = np.random.default_rng(1)
    b = rng.normal(28, 5, 64)
    interval = paired_bootstrap(b + rng.normal(0.2, 0.1, 64), b)
    assert interval.high - interval.low < 0.07 and interval.excludes_zero


def test_the_interval_is_that_of_students_t_for_normal_values():
    d = np.random.default_rng(2).normal(0, 1, 30)
    interval = paired_bootstrap(d, np.zeros(30), resamples=40_000)
    half_width = 2.0452 * d.std(ddof=1) / math.sqrt(30)
    assert interval.high - interval.low == pytest.approx(2 * half_width, rel=0.04)


def test_the_same_seed_gives_the_same_interval():
    a, b = np.random.default_rng(3).normal(0, 1, (2, 40))
    assert paired_bootstrap(a, b, seed=5) == paired_bootstrap(a, b, seed=5)
    assert paired_bootstrap(a, b, seed=5) != paired_bootstrap(a, b, seed=6)


def test_one_image_gives_no_limits():
    assert paired_bootstrap([2.0], [1.0]) == Interval(1.0, -math.inf, math.inf, 1)


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match="equally many"):
        paired_bootstrap([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        paired_bootstrap([], [])
    with pytest.raises(ValueError, match="must be finite"):
        paired_bootstrap([math.inf, 1.0], [1.0, 1.0])
