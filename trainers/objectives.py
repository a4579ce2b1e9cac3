"""Two opposed objectives, distortion and perception: dominance, Pareto front, feasible-first order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainers.config import ObjectiveConfig, TrainConfig
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


def order_feasible_first(point: Point, floor: float) -> tuple[bool, float, float]:
    """Sort key, smaller is better: feasible points by perception, then infeasible ones by how far off."""
    distortion, perception = point
    if distortion >= floor:
        return False, -perception, -distortion
    return True, floor - distortion, -perception


def running_front(curve: Sequence[dict[str, float]], config: TrainConfig) -> list[int]:
    """Steps of `curve` that no other evaluation beats in both objectives, and the last one."""
    objective = config.objective
    signs = [
        1.0 if METRICS[m].direction == "max" else -1.0 for m in (objective.distortion, objective.perceptual)
    ]
    points = [
        (signs[0] * row[objective.distortion], signs[1] * row[objective.perceptual], int(row["step"]))
        for row in curve
    ]
    best = [
        step for a, b, step in points if not any(x >= a and y >= b and (x > a or y > b) for x, y, _ in points)
    ]
    return sorted({*best, points[-1][2]})
