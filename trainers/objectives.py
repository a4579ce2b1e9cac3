"""Two opposed objectives, distortion and perception: dominance, Pareto front, feasible-first order."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainers.config import ObjectiveConfig, TrainConfig
from trainers.metrics import METRICS

Point = tuple[float, float]  # (distortion, perception), larger is better in both

CONSISTENCY = "lr_consistency"
MIN_CONSISTENCY_DB = 32.0
"""Least LR consistency of a feasible network, a mean over images. RealSR-DF2K, a published GAN for bicubic
inputs, has means of 37.5 to 38.1 dB on central crops of 160 px of Set5, Set14, BSD100 (20 images) and T91
(10), and 33.3 dB on its worst image; bicubic enlargement has 36.5 to 38.2. Below 32 dB, a root mean square
error of 6.4 grey levels, a result shows other content than its input."""

GRID = "grid_detail"
GRID_LIMIT = 0.05
"""Share of fine detail on the upsampling grid that a feasible network may have beyond its warm start, a mean
over images. Photographs have 0.02; a checkerboard of one grey level, which LPIPS rewards, adds 0.5 to a
smooth image."""

OPINIONS = ("dists", "lpips_alex")
"""Metrics that may contradict an objective, the better first (`second_opinion`)."""


@dataclass(frozen=True)
class Objectives:
    """The two metrics to optimise, and the floor's distance from the warm start; signs make larger better.

    Every comparison of two metric values goes through `point`, so that metrics of both directions are
    compared correctly.
    """

    distortion: str
    perceptual: str
    delta_db: float
    least: float = -math.inf
    """Signed distortion below which no network is feasible, whatever its warm start; champions set it."""

    @classmethod
    def of(cls, config: ObjectiveConfig) -> "Objectives":
        """Return the objectives of a run's config."""
        return cls(config.distortion, config.perceptual, config.delta_db)

    def point(self, metrics: Mapping[str, float]) -> Point:
        """Return (distortion, perception) of a row's metrics, larger is better."""
        return self._signed(self.distortion, metrics), self._signed(self.perceptual, metrics)

    def floor(
        self, warm_start: Mapping[str, float], own: Mapping[str, float] | None = None, prefix: str = ""
    ) -> float:
        """Return the signed distortion at which a network is feasible, as a checkpoint and as a pick.

        It is its warm start's less delta, at least `least`. `warm_start` are the warm start's metrics, stored
        under `prefix`; `own` are the network's. A network with an LR consistency below MIN_CONSISTENCY_DB, or
        with a pattern of the upsampling grid above GRID_LIMIT, has a floor above its own distortion, so that
        it is infeasible: by the dB that it lacks, or by 1 dB per GRID_LIMIT that it has too much. Metrics
        that were not measured set no floor. The gate checks the same parts one by one (registry/gate.py).
        """
        sign = 1 if METRICS[self.distortion].direction == "max" else -1
        floor = max(sign * warm_start[prefix + self.distortion] - self.delta_db, self.least)
        if own is None:
            return floor
        beyond = own.get(GRID, 0.0) - warm_start.get(prefix + GRID, math.inf)
        lacking = max(MIN_CONSISTENCY_DB - own.get(CONSISTENCY, math.inf), beyond / GRID_LIMIT - 1)
        return floor if lacking <= 0 else max(floor, self._signed(self.distortion, own) + lacking)

    def order(
        self, own: Mapping[str, float], warm_start: Mapping[str, float], prefix: str = ""
    ) -> tuple[bool, float, float]:
        """Return the sort key of a network's metrics by `order_feasible_first`, smaller is better."""
        return order_feasible_first(self.point(own), self.floor(warm_start, own, prefix))

    @staticmethod
    def _signed(metric: str, metrics: Mapping[str, float]) -> float:
        return metrics[metric] if METRICS[metric].direction == "max" else -metrics[metric]


def dominates(a: Point, b: Point) -> bool:
    """Return True if `a` is at least as good in both objectives and better in one."""
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other dominates: the Pareto front, in their order."""
    return [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def front_ranks(points: Sequence[Point]) -> list[int]:
    """Return the front of each of these distinct points (0: no other dominates it), in O(n log n).

    `points` are sorted, largest first: a front dominates the next one exactly if it already holds as large a
    second coordinate.
    """
    heights: list[float] = []  # minus the largest second coordinate of each front, which grows with the front
    ranks = []
    for _, second in points:
        rank = bisect_right(heights, -second)
        heights[rank : rank + 1] = [-second]
        ranks.append(rank)
    return ranks


def order_feasible_first(point: Point, floor: float) -> tuple[bool, float, float]:
    """Return a sort key, smaller is better: feasible points by perception, then others by their distance
    to the floor.

    `floor` is a signed distortion like `point[0]`; a point at or above it is feasible.
    """
    distortion, perception = point
    if distortion >= floor:
        return False, -perception, -distortion
    return True, floor - distortion, -perception


def measured_metrics(config: TrainConfig) -> tuple[str, ...]:
    """Return the metrics that decide: both objectives and, if the input is the HR image made small, LR
    consistency and the pattern of the upsampling grid."""
    o, enlarges = config.objective, config.data.input == "image" and config.generator.scale > 1
    return tuple(dict.fromkeys((o.distortion, o.perceptual, *((CONSISTENCY, GRID) if enlarges else ()))))


def second_opinion(config: TrainConfig) -> str:
    """Return the perceptual metric that is measured on test and decides nothing; "" if none is available.

    It is the first of OPINIONS that is installed, reads the images, and shares no weights with the objective.
    """
    pixels, objective = config.data.pixels, METRICS[config.objective.perceptual]
    for metric in (METRICS[name] for name in OPINIONS):
        is_other = metric != objective and not set(metric.needs) & set(objective.needs)
        if is_other and (pixels.is_rgb8 or pixels.rgb) and not metric.unavailable():
            return metric.name
    return ""


def similarity(config: TrainConfig) -> str:
    """Return the metric that is measured beside the objectives unless others are named."""
    return "ssim_y" if config.data.pixels.is_rgb8 else "ssim"


def running_front(curve: Sequence[Mapping[str, float]], config: ObjectiveConfig) -> list[int]:
    """Return the steps of the evaluations on the Pareto front of a run's curve, and the last step."""
    objectives = Objectives.of(config)
    best = front([objectives.point(row) for row in curve])
    return sorted({int(curve[i]["step"]) for i in (*best, len(curve) - 1)})
