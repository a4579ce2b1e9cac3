"""Pure functions that compare results: hypervolume, designs to confirm, the pick."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainers.objectives import Point, order_feasible_first


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


def to_confirm(points: Sequence[Point], floors: Sequence[float], reference: Point, count: int) -> list[int]:
    """Return the indices of `count` points to confirm: first by feasibility, then by hypervolume gained.

    The first is the best in the order of `order_feasible_first`. A point far from it on the front adds more
    than a near one. If no point adds hypervolume, that order decides.
    """
    left = sorted(range(len(points)), key=lambda i: (*order_feasible_first(points[i], floors[i]), i))
    chosen = left[: min(1, count)]
    while len(chosen) < min(count, len(points)):
        before = hypervolume([points[i] for i in chosen], reference)
        gains = {
            i: hypervolume([points[j] for j in [*chosen, i]], reference) - before
            for i in left
            if i not in chosen
        }
        chosen.append(max(gains, key=lambda i: (gains[i], -left.index(i))))
    return chosen


def pick(points: Sequence[Point], floor: float) -> tuple[int | None, str]:
    """Choose the design to ship: the best perception among `points` whose distortion reaches `floor`.

    Returns its index and the reason as text; the index is None if no point reaches the floor. The points are
    means over the seeds of the confirmed designs. The floor comes from orchestrator/sweep/pick_floor.py, and
    orchestrator/sweep/result.py chooses the seed of the design whose network is shipped.
    """
    feasible = [i for i, p in enumerate(points) if p[0] >= floor]
    if not feasible:
        return None, f"no confirmed design reaches the floor of {floor:.2f} dB"
    best = min(feasible, key=lambda i: (-points[i][1], -points[i][0], i))
    return best, f"best perceptual metric among {len(feasible)} confirmed designs at or above {floor:.2f} dB"


def mean_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over the seeds of one design, for the metrics that all its rows have."""
    shared = set.intersection(*(set(r["metrics"]) for r in rows))
    return {m: sum(r["metrics"][m] for r in rows) / len(rows) for m in sorted(shared)}
