"""Two opposed objectives, distortion and perception: dominance, Pareto front, feasible-first order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainers.config import ObjectiveConfig
from trainers.metrics import METRICS

Point = tuple[float, float]  # (distortion, perception), larger is better in both


@dataclass(frozen=True)
class Objectives:
    """The two metrics to optimise, and the floor's distance from the warm start; signs make larger better.

    Every comparison of two metric values goes through `point`, so that metrics of both directions are
    compared correctly.
    """

    distortion: str
    perceptual: str
    delta_db: float

    @classmethod
    def of(cls, config: ObjectiveConfig) -> "Objectives":
        """Return the objectives of a run's config."""
        return cls(config.distortion, config.perceptual, config.delta_db)

    def point(self, metrics: Mapping[str, float]) -> Point:
        """Return (distortion, perception) of a row's metrics, larger is better."""
        return self._signed(self.distortion, metrics), self._signed(self.perceptual, metrics)

    def floor(self, metrics: Mapping[str, float], prefix: str = "") -> float:
        """Return the distortion that keeps a network feasible: its warm start's less delta, larger is better.

        `metrics` are the warm start's, stored under `prefix`.
        """
        sign = 1 if METRICS[self.distortion].direction == "max" else -1
        return sign * metrics[prefix + self.distortion] - self.delta_db

    def reference(self, metrics: Mapping[str, float]) -> Point:
        """Return bicubic's point, in `metrics` under bicubic/: the corner of every hypervolume."""
        return self.point({m: metrics[f"bicubic/{m}"] for m in (self.distortion, self.perceptual)})

    @staticmethod
    def _signed(metric: str, metrics: Mapping[str, float]) -> float:
        return metrics[metric] if METRICS[metric].direction == "max" else -metrics[metric]


def dominates(a: Point, b: Point) -> bool:
    """Return True if `a` is at least as good in both objectives and better in one."""
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other dominates: the Pareto front, in their order."""
    return [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def order_feasible_first(point: Point, floor: float) -> tuple[bool, float, float]:
    """Return a sort key, smaller is better: feasible points by perception, then others by their distance
    to the floor.

    `floor` is a signed distortion like `point[0]`; a point at or above it is feasible.
    """
    distortion, perception = point
    if distortion >= floor:
        return False, -perception, -distortion
    return True, floor - distortion, -perception


def running_front(curve: Sequence[Mapping[str, float]], config: ObjectiveConfig) -> list[int]:
    """Return the steps of the evaluations on the Pareto front of a run's curve, and the last step."""
    objectives = Objectives.of(config)
    best = front([objectives.point(row) for row in curve])
    return sorted({int(curve[i]["step"]) for i in (*best, len(curve) - 1)})
