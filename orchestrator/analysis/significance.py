"""Verdicts on differences: beats, loses to, not separable, not enough evidence.

Our rules: a verdict between designs needs at least 3 seeds and 30 images; "beats" and "loses to" need 5
seeds, an interval that excludes 0, and a p-value significant after Holm's correction over the compared arms.
orchestrator/analysis/intervals.py computes the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import stdtrit

from orchestrator.analysis.intervals import Comparison, Interval

MIN_IMAGES = 30  # percentile intervals covered 73 % at 3 values, 84 % at 5, 92 % at 14
MIN_SEEDS = 3
SEEDS_TO_BEAT = 5
POWER = 0.8
"""The probability with which a difference of `seen_with_power` is seen."""

BEATS, LOSES = "beats", "loses to"
NOT_SEPARABLE, NOT_ENOUGH = "not separable", "not enough evidence"


@dataclass(frozen=True)
class Verdict:
    """A verdict with the difference that it is about."""

    word: str
    estimate: float
    """Difference of the means; printed with every verdict."""
    interval: Interval | None
    """None if there is not enough evidence."""
    p: float | None
    """p-value corrected for the number of arms; None between checkpoints or without enough evidence."""
    least: float = 0.0
    """The smallest difference that would matter, with the sign of "beats"; 0: none is stated."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected by Holm (1979): the smallest of n times n, the next times n - 1, ..."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def between_designs(
    comparisons: Mapping[str, Comparison],
    direction: str,
    *,
    level: float = 0.95,
    min_images: int = MIN_IMAGES,
    least: float = 0.0,
) -> dict[str, Verdict]:
    """Return the verdict on each arm's difference from one reference.

    `direction` is the metric's, max or min; `least` is the size of the smallest difference that would matter,
    0 if none is stated. The correction counts only arms with enough evidence.
    """
    least = abs(least) if direction == "max" else -abs(least)
    judged = {name: c for name, c in comparisons.items() if c.seeds >= MIN_SEEDS and c.images >= min_images}
    p_values = holm({name: c.p for name, c in judged.items()})
    out = {}
    for name, c in comparisons.items():
        if name not in judged:
            out[name] = Verdict(NOT_ENOUGH, c.interval.estimate, None, None, least)
            continue
        clear = c.seeds >= SEEDS_TO_BEAT and c.interval.excludes_zero and p_values[name] < 1 - level
        word = _word(c.interval.estimate, direction) if clear else NOT_SEPARABLE
        out[name] = Verdict(word, c.interval.estimate, c.interval, p_values[name], least)
    return out


def _word(estimate: float, direction: str) -> str:
    return BEATS if (estimate > 0) == (direction == "max") else LOSES


def seen_with_power(verdict: Verdict, arms: int = 1) -> float:
    """Return the size of difference that so many seeds would see with a power of POWER; inf without interval.

    It is (t(1 - 0.025 / arms) + t(POWER)) standard errors: the interval's, with Student's t for one seed
    fewer. `arms` are the compared ones, of which Holm's correction takes the clearest first.
    """
    if verdict.interval is None or verdict.interval.n < 2:
        return float("inf")
    quantiles = (0.975, 1 - 0.025 / max(1, arms), POWER)
    own, level, power = (float(stdtrit(verdict.interval.n - 1, q)) for q in quantiles)
    return (verdict.interval.high - verdict.interval.low) / 2 * (level + power) / own
