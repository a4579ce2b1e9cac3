"""Names of sentinels for people: what a GAN must better to be shipped; and the second opinion on one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets.text import count
from trainers.metrics import METRICS

SENTINELS = {
    "sharpened": "its warm start, sharpened",
    "noisy": "its warm start with added noise",
    "longer": "the PSNR network of equal cost",
    "grid": "its warm start, pattern of the upsampling grid",
}

OPPONENTS = {"warm": "its warm start", "longer": SENTINELS["longer"]}
"""Networks that the second opinion compares a GAN with."""


def is_worse(interval: Sequence[float | None], metric: str) -> bool:
    """Return True if a difference in `metric` is wholly on the worse side of 0.

    `interval` is the difference with the ends of its interval, of which None is no limit.
    """
    _, low, high = interval
    is_less_better = METRICS[metric].direction == "min"
    end = low if is_less_better else high
    return end is not None and (end > 0 if is_less_better else end < 0)


def is_same_network(values: Iterable[float | None], others: Iterable[float | None]) -> bool:
    """Return True if all values are there and equal, up to the rounding of means: they are one network's."""
    pairs = zip(values, others, strict=True)
    return all(a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9) for a, b in pairs)


def in_words(names: Sequence[str], worse: Sequence[str] = ()) -> str:
    """Return which comparisons a GAN fails, as a phrase after its name; it is clearly `worse` in some."""
    lost = " and than ".join(SENTINELS[name] for name in names if name in worse)
    others = ", nor than ".join(SENTINELS[name] for name in names if name not in (*worse, "grid"))
    found = [f"worse than {lost}"] * bool(lost)
    found += [f"not clearly better than {others}"] * bool(others)
    found += ["it draws the pattern of the upsampling grid"] * ("grid" in names)
    return f"fails {count(len(names), 'comparison')} on test: {'; '.join(found)}"


def contradiction(opinions: Mapping[str, Mapping[str, Any]], names: Mapping[str, str] = OPPONENTS) -> str:
    """Return as a phrase that a GAN is worse in a metric that decides nothing; "" if it is in no comparison.

    `opinions` are the comparisons by name (Row.second_opinion), `names` those of the networks for people.
    """
    worse = [name for name, found in opinions.items() if is_worse(found["interval"], found["metric"])]
    if not worse:
        return ""
    than = " and than ".join(names[name] for name in worse)
    return f"{opinions[worse[0]]['metric']}, the second opinion, contradicts: it is worse than {than}"
