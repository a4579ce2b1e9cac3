"""Confidence intervals over images, over seeds and images, and for distances of whole sets.

Pure functions of numbers and a seed; no image, run or server is used here.
orchestrator/analysis/significance.py turns intervals into verdicts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr, stdtrit

_CHUNK = 1 << 20  # resampled values in memory at once


@dataclass(frozen=True)
class Interval:
    """An estimate between two limits, from `n` independent units."""

    estimate: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """True if the whole interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Return mean(a - b) over paired images, with its percentile bootstrap interval at `level`.

    The percentiles are widened for small n (Hesterberg, "What teachers should know about the bootstrap",
    2015, sec. 4.3): a plain percentile interval covers too little below some hundred images. One image
    gives an interval without limits.

    Raises:
        ValueError: if the inputs are empty, of unequal length or not finite.
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
    """Return the means (resamples,) of `resamples` samples with replacement of `values` (n,)."""
    n, step = len(values), max(1, _CHUNK // len(values))
    chunks = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([values[rng.integers(n, size=(k, n))].mean(axis=1) for k in chunks])


def _percentiles(level: float, n: int) -> tuple[float, float]:
    """Return the two bootstrap percentiles that cover `level` of a normal mean at n values.

    The bootstrap's deviation is too small by sqrt((n - 1) / n), and it uses the normal distribution instead
    of Student's t; moving the percentiles outwards corrects both.
    """
    t = float(stdtrit(n - 1, (1 - level) / 2))
    low = NormalDist().cdf(math.sqrt(n / (n - 1)) * t)
    return low, 1 - low


@dataclass(frozen=True)
class Comparison:
    """The difference of two designs, and the evidence for it."""

    interval: Interval
    p: float
    """Two-sided p-value: probability of a difference at least as large if there were none."""
    seeds: int
    """Seeds of the design with fewer of them."""
    images: int
    """Images measured by every run."""


def hierarchical_bootstrap(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    *,
    paired: bool = False,
    seed: int = 0,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Comparison:
    """Return mean(a) - mean(b) of two designs, each `[seed][image]` over equal images in equal order.

    Seeds of both designs and images are resampled separately, one fewer than there are, which makes the
    variance of the resampled differences unbiased (Rao and Wu, 1988). With `paired`, row k of both designs
    has one seed, and the differences of such pairs are resampled: a seed that is lucky for both cancels.
    Limits are Student's with the degrees of freedom of Satterthwaite (1946): with five seeds a percentile
    interval ends at the extreme seeds and covers too little. With one seed or one image there are no limits.

    Raises:
        ValueError: if the designs have different numbers of images, or of seeds that are paired, or a value
            is not finite.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (a, b))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.size or not y.size:
        raise ValueError(f"designs must be [seed][image] over equal images, but got {x.shape} and {y.shape}")
    _check(x, y, paired)
    estimate, images = float(x.mean() - y.mean()), x.shape[1]
    seeds = min(len(x), len(y))
    if seeds < 2 or images < 2:
        return Comparison(Interval(estimate, -math.inf, math.inf, seeds), 1.0, seeds, images)
    # Sources of variance: the mean of each seed (of each pair), and the mean difference on each image.
    seed_levels = [(x - y).mean(axis=1)] if paired else [x.mean(axis=1), y.mean(axis=1)]
    levels = [*seed_levels, x.mean(axis=0) - y.mean(axis=0)]
    rng = np.random.default_rng(seed)
    draws = sum(_resampled_effects(values, rng, resamples) for values in levels)
    freedom = _satterthwaite([(v.var(ddof=1) / len(v), len(v) - 1) for v in levels])
    return _comparison(estimate, float(np.std(draws)), freedom, seeds, images, level)


def welch_difference(
    a: Sequence[float], b: Sequence[float], images: int, *, paired: bool = False, level: float = 0.95
) -> Comparison:
    """Compare the means of two designs over seeds, mean(a) - mean(b), by Welch's t (1947).

    With `paired`, value k of both has one seed, and Student's t of the differences decides.

    It is for set-level metrics, which have one value per seed and none per image. Images are not resampled,
    so the interval is valid for these `images` test images only. With one seed it is infinite.

    Raises:
        ValueError: if a value is not finite, or paired values are not equally many.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (a, b))
    _check(x, y, paired)
    estimate, seeds = float(x.mean() - y.mean()), min(len(x), len(y))
    if seeds < 2:
        return Comparison(Interval(estimate, -math.inf, math.inf, seeds), 1.0, seeds, images)
    samples = [x - y] if paired else [x, y]
    parts = [(float(v.var(ddof=1)) / len(v), len(v) - 1) for v in samples]
    error = math.sqrt(sum(v for v, _ in parts))
    return _comparison(estimate, error, _satterthwaite(parts), seeds, images, level)


def _check(x: np.ndarray, y: np.ndarray, paired: bool) -> None:
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("measured values must be finite; leave diverged runs out of a design's seeds")
    if paired and len(x) != len(y):
        raise ValueError(f"paired designs must have equal seeds, but got {len(x)} and {len(y)}")


def _comparison(
    estimate: float, error: float, freedom: float, seeds: int, images: int, level: float
) -> Comparison:
    """Return the comparison of an estimate with its standard error, by Student's t."""
    half = -float(stdtrit(freedom, (1 - level) / 2)) * error
    interval = Interval(estimate, estimate - half, estimate + half, seeds)
    return Comparison(interval, _two_sided(estimate, error, freedom), seeds, images)


def _resampled_effects(values: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Return the mean deviations from the mean of `resamples` samples of n - 1 of the n values."""
    n = len(values)
    counts = rng.multinomial(n - 1, np.full(n, 1 / n), size=resamples)
    return counts @ (values - values.mean()) / (n - 1)


def _satterthwaite(parts: Sequence[tuple[float, int]]) -> float:
    """Return the degrees of freedom of a sum of variances; `parts` are (variance, degrees of freedom)."""
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return sum(variance for variance, _ in parts) ** 2 / below if below else float(parts[-1][1])


def _two_sided(estimate: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(estimate) / error))


def jackknife_difference(
    difference: Callable[[np.ndarray], float],
    n: int,
    *,
    groups: int = 20,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a difference of two set-level distances (FID, FD, KID, SWD) with its grouped jackknife interval.

    `difference(indices)` computes it on the images `indices` of n, for both models; it is called `groups` + 1
    times. The estimate is corrected for a bias proportional to 1/n, which a Frechet distance has and which a
    bootstrap would double.

    Raises:
        ValueError: if there are fewer than two images per group.
    """
    if n < 2 * groups:
        raise ValueError(f"the jackknife needs at least {2 * groups} images for {groups} groups, but got {n}")
    order = np.random.default_rng(seed).permutation(n)
    whole = difference(np.arange(n))
    left_out = np.array([difference(np.sort(np.delete(order, np.s_[g::groups]))) for g in range(groups)])
    estimate = groups * whole - (groups - 1) * float(left_out.mean())
    error = math.sqrt((groups - 1) / groups * float(((left_out - left_out.mean()) ** 2).sum()))
    half = -float(stdtrit(groups - 1, (1 - level) / 2)) * error
    return Interval(estimate, estimate - half, estimate + half, n)


def set_difference(
    difference: Callable[[np.ndarray], float], n: int, *, level: float = 0.95, groups: int = 10
) -> Interval:
    """Return the jackknife interval of a set-level difference over n images; without limits below four."""
    if n < 4:
        return Interval(difference(np.arange(n)), -math.inf, math.inf, n)
    return jackknife_difference(difference, n, groups=min(groups, n // 2), level=level)
