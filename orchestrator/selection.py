"""Which result is better, as pure functions: front, hypervolume, what to confirm, what to pick."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.config import ObjectiveConfig
from trainers.metrics import METRICS

Point = tuple[float, float]  # both larger is better


@dataclass(frozen=True)
class Objectives:
    """Two metrics turned so that larger is better in both, with the names kept for words."""

    distortion: str
    perceptual: str
    delta_db: float

    @classmethod
    def of(cls, config: ObjectiveConfig) -> "Objectives":
        """The objectives of a run's config."""
        return cls(config.distortion, config.perceptual, config.delta_db)

    def point(self, metrics: Mapping[str, float]) -> Point:
        """(distortion, perception) of a row's metrics, larger is better."""
        return self._signed(self.distortion, metrics), self._signed(self.perceptual, metrics)

    def reference(self, metrics: Mapping[str, float]) -> Point:
        """The bicubic row's two values, found under `bicubic/...`: the corner of every hypervolume."""
        return self.point({m: metrics[f"bicubic/{m}"] for m in (self.distortion, self.perceptual)})

    @staticmethod
    def _signed(metric: str, metrics: Mapping[str, float]) -> float:
        return metrics[metric] if METRICS[metric].direction == "max" else -metrics[metric]


def dominates(a: Point, b: Point) -> bool:
    """At least as good in both objectives and better in one."""
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other one dominates, in their own order."""
    return [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Area between the front and `reference`; points that do not beat it in both count nothing."""
    area, height = 0.0, reference[1]
    inside = [p for p in points if p[0] > reference[0] and p[1] > reference[1]]
    for x, y in sorted(inside, reverse=True):
        if y > height:
            area += (x - reference[0]) * (y - height)
            height = y
    return area


def order_feasible_first(point: Point, floor: float) -> tuple[bool, float, float]:
    """Sort key, smaller is better: feasible points by perception, then infeasible ones by how far off."""
    distortion, perception = point
    if distortion >= floor:
        return False, -perception, -distortion
    return True, floor - distortion, -perception


def to_confirm(points: Sequence[Point], floors: Sequence[float], reference: Point, count: int) -> list[int]:
    """Indices worth confirming: the rule's first choice, then what adds most area to the front.

    A design far from the first choice on the front says more than its near twin. Where nothing adds
    area any more, the rule's order decides.
    """
    left = sorted(range(len(points)), key=lambda i: (*order_feasible_first(points[i], floors[i]), i))
    chosen = left[: min(1, count)]
    while len(chosen) < min(count, len(points)):
        held = hypervolume([points[i] for i in chosen], reference)
        gains = {
            i: hypervolume([points[j] for j in [*chosen, i]], reference) - held
            for i in left
            if i not in chosen
        }
        chosen.append(max(gains, key=lambda i: (gains[i], -left.index(i))))
    return chosen


def pick(points: Sequence[Point], floor: float) -> tuple[int | None, str]:
    """Index of the best perception among points at or above `floor`, and the reason in words."""
    feasible = [i for i, p in enumerate(points) if p[0] >= floor]
    if not feasible:
        return None, f"no confirmed design reaches the floor of {floor:.2f} dB"
    best = min(feasible, key=lambda i: (-points[i][1], -points[i][0], i))
    return best, f"best perceptual metric among {len(feasible)} confirmed designs at or above {floor:.2f} dB"


def mean_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean over the seeds of one design, for the metrics that all of its rows hold."""
    shared = set.intersection(*(set(r["metrics"]) for r in rows))
    return {m: sum(r["metrics"][m] for r in rows) / len(rows) for m in sorted(shared)}
