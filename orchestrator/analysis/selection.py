"""Pure functions over results: hypervolume of a front, means over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainers.objectives import Point


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Return the area between the Pareto front of `points` and `reference`.

    Points that do not beat the reference in both objectives add nothing.
    """
    area, height = 0.0, reference[1]
    inside = [p for p in points if p[0] > reference[0] and p[1] > reference[1]]
    for x, y in sorted(inside, reverse=True):
        if y > height:
            area += (x - reference[0]) * (y - height)
            height = y
    return area


def mean_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over the seeds of one design, for the metrics that all its rows have."""
    shared = set.intersection(*(set(r["metrics"]) for r in rows))
    return {m: sum(r["metrics"][m] for r in rows) / len(rows) for m in sorted(shared)}
