"""Intervals that mean what they say: bootstrap over images, and over seeds and images.

Pure functions of numbers and a seed; no image, no run and no server is known here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

_CHUNK = 1 << 20  # resampled values held at once


@dataclass(frozen=True)
class Interval:
    """An estimate between two limits, from `n` independent units."""

    estimate: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """mean(a - b) over images measured by both, with its percentile bootstrap interval at `level`.

    The percentiles are widened for small n (Hesterberg, "What teachers should know about the bootstrap",
    2015, sec. 4.3): a plain percentile interval covers too little below some hundred images. One image
    gives an interval without limits. ValueError for empty or unequally long inputs or values that are not
    finite.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(
            f"paired values must be equally many and at least one, but got {len(a)} and {len(b)}"
        )
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("paired values must be finite; an infinite PSNR means two equal images")
    n, estimate = len(difference), float(difference.mean())
    if n == 1:
        return Interval(estimate, -math.inf, math.inf, 1)
    means = _resampled_means(difference, np.random.default_rng(seed), resamples)
    low, high = np.quantile(means, _percentiles(level, n))
    return Interval(estimate, float(low), float(high), n)


def _resampled_means(values: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Means of `resamples` samples with replacement of `values` (n,), as (resamples,)."""
    n, step = len(values), max(1, _CHUNK // len(values))
    chunks = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([values[rng.integers(n, size=(k, n))].mean(axis=1) for k in chunks])


def _percentiles(level: float, n: int) -> tuple[float, float]:
    """The two bootstrap percentiles that cover `level` of a normal mean at n values.

    The bootstrap deviates by sqrt((n - 1) / n) too little and uses the normal instead of Student's t; both
    are undone by moving the percentiles outwards.
    """
    t = float(stdtrit(n - 1, (1 - level) / 2))
    low = NormalDist().cdf(math.sqrt(n / (n - 1)) * t)
    return low, 1 - low
