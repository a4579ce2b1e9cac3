"""Intervals with known answers: closed forms, equal inputs, and coverage."""

import math

import numpy as np
import pytest

from orchestrator.analysis.intervals import (
    Interval,
    hierarchical_bootstrap,
    jackknife_difference,
    paired_bootstrap,
)
from trainers.metrics.frechet import frechet


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


def _design(rng, seeds, images, mean=0.0, between_seeds=0.05, noise=0.1, image_effects=0.0):
    effects = rng.normal(0, between_seeds, (seeds, 1)) + image_effects
    return mean + effects + rng.normal(0, noise, (seeds, images))


def test_designs_with_constant_values_differ_exactly():
    found = hierarchical_bootstrap(np.full((5, 40), 2.0), np.full((5, 40), 1.5))
    assert found.interval == Interval(0.5, 0.5, 0.5, 5) and found.p == 0.0
    assert (found.seeds, found.images) == (5, 40)
    assert hierarchical_bootstrap(np.ones((5, 40)), np.ones((5, 40))).p == 1.0


def test_images_alone_cannot_make_two_seeds_certain():
    rng = np.random.default_rng(4)
    few, many = (
        hierarchical_bootstrap(_design(rng, n, 200, 0.2), _design(rng, n, 200)).interval for n in (2, 12)
    )
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_spread_of_seeds_decides_as_in_welchs_test():
    """Without noise between images the designs are two samples of seed means: Welch's interval."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 0.1, 6), rng.normal(0, 0.2, 6)
    found = hierarchical_bootstrap(np.tile(a[:, None], 50), np.tile(b[:, None], 50), resamples=60_000)
    from scipy.stats import ttest_ind

    welch = ttest_ind(a, b, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=0.01)
    assert found.p == pytest.approx(welch.pvalue, rel=0.1)


def test_one_seed_gives_an_estimate_and_no_limits():
    found = hierarchical_bootstrap([[1.0, 2.0]], [[0.0, 1.0]])
    assert found.interval == Interval(1.0, -math.inf, math.inf, 1) and found.p == 1.0


def test_designs_over_different_images_are_refused():
    with pytest.raises(ValueError, match="over equal images"):
        hierarchical_bootstrap(np.ones((5, 40)), np.ones((5, 41)))
    with pytest.raises(ValueError, match="must be finite"):
        hierarchical_bootstrap([[1.0, math.nan]], [[1.0, 1.0]])


def test_the_jackknife_of_a_mean_is_the_mean_and_its_students_interval():
    values = np.random.default_rng(6).normal(3, 1, 400)
    found = jackknife_difference(lambda i: values[i].mean(), 400)
    assert found.estimate == pytest.approx(values.mean()) and found.n == 400
    assert found.high - found.low == pytest.approx(2 * 2.093 / math.sqrt(400), rel=0.4)


def test_the_jackknife_removes_bias_of_one_over_n():
    values = np.random.default_rng(7).normal(0, 1, 100)
    found = jackknife_difference(lambda i: values[i].mean() ** 2, 100, groups=50)
    assert abs(found.estimate - (values.mean() ** 2 - values.var() / 99)) < 0.01
    with pytest.raises(ValueError, match="at least 40 images for 20 groups, but got 39"):
        jackknife_difference(lambda i: 0.0, 39)


def _covered(intervals, truth):
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 500])
def test_coverage_of_a_paired_mean(n):
    rng = np.random.default_rng(n)
    d = rng.normal(0.1, 1, (2000, n))
    found = [paired_bootstrap(x, np.zeros(n), resamples=1000, seed=i) for i, x in enumerate(d)]
    assert 0.93 <= _covered(found, 0.1) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("between_seeds", "between_images"), [(0.05, 0.3), (0.1, 0.1), (0.02, 0.5), (0.2, 0.05)]
)
def test_coverage_of_a_difference_of_designs_at_5_seeds_and_100_images(between_seeds, between_images):
    rng = np.random.default_rng(8)
    found = []
    for i in range(2000):
        effects = rng.normal(0, between_images, 100)
        a = _design(rng, 5, 100, 0.1, between_seeds, image_effects=effects)
        b = _design(rng, 5, 100, 0.0, between_seeds)
        found.append(hierarchical_bootstrap(a, b, seed=i, resamples=1000).interval)
    assert 0.93 <= _covered(found, 0.1) <= 0.97


@pytest.mark.slow
def test_coverage_of_a_difference_of_frechet_distances():
    """Two restorations of one set with a known law: noise of 0.1 and 0.3 on 0.9 and 0.8 of each feature."""
    rng, n, scale = np.random.default_rng(9), 300, 1 / np.sqrt(np.arange(1, 17))
    truth = ((1 - np.hypot(0.9, 0.1)) ** 2 - (1 - np.hypot(0.8, 0.3)) ** 2) * (scale**2).sum()
    found = []
    for _ in range(600):
        real = rng.normal(size=(n, 16))
        a, b = (c * real + s * rng.normal(size=(n, 16)) for c, s in ((0.9, 0.1), (0.8, 0.3)))
        a, b, real = a * scale, b * scale, real * scale

        def difference(i, a=a, b=b, real=real):
            return frechet(a[i], real[i]) - frechet(b[i], real[i])

        found.append(jackknife_difference(difference, n))
    assert 0.93 <= _covered(found, truth) <= 0.97
