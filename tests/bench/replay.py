"""Sweeps over recorded curves: the product's own search and stopping rules, without the training.

Time is counted in training steps. Several workers run at once, each a trial; a trial reports where it was
measured, and the rule decides as it would have. Nothing here measures or trains.
"""

import heapq
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from orchestrator.analysis.selection import hypervolume
from trainers.objectives import Objectives, Point, order_feasible_first

WINDOW = 3  # a rung value is the median of this many evaluations
CONTINUE = "CONTINUE"


@dataclass(frozen=True)
class Curve:
    """What one design's trial reports: (step, distortion, perception) from its start to its end."""

    points: Sequence[Sequence[float]]
    share: float = 0.2
    """Of the adversarial gradient."""
    before: int = 0
    """Steps that a trial without a shared warm start trains first."""
    early: Sequence[Sequence[float]] = ()
    """What those steps report, on their own axis."""
    plain: "Curve | None" = None
    """Of a trial that reports its newest values over both phases: its GAN phase, which says its worth."""

    def judged(self, index: int) -> tuple[float, float]:
        """The median of the last evaluations up to the one of that index."""
        window = self.points[max(0, index + 1 - WINDOW) : index + 1]
        return statistics.median(p[1] for p in window), statistics.median(p[2] for p in window)

    def told(self, index: int, objectives: Objectives) -> tuple[float, float]:
        """What the trial reports there: the best so far by the product's rule, or its newest values."""
        if self.plain is not None:
            return self.judged(index)
        names = objectives.distortion, objectives.perceptual
        floor = objectives.point(dict(zip(names, self.points[0][1:], strict=True)))[0] - objectives.delta_db

        def order(values: tuple[float, float]) -> tuple[bool, float, float]:
            return order_feasible_first(objectives.point(dict(zip(names, values, strict=True))), floor)

        return min((self.judged(i) for i in range(index + 1)), key=order)

    def final(self, objectives: Objectives) -> tuple[float, float]:
        """What a whole trial is worth, whoever ran it."""
        return (self.plain or self).told(len((self.plain or self).points) - 1, objectives)

    @property
    def steps(self) -> int:
        """Of the phase that is ranked."""
        return int(self.points[-1][0])


Decide = Callable[[str, dict[str, Any]], str]


@dataclass
class Replay:
    """What a sweep came to: its whole trials in the order they ended, and what was spent by then."""

    objectives: Objectives
    reference: Point
    whole: list[tuple[float, Point]] = field(default_factory=list)
    """Steps of all trials together, and the point that was complete then."""
    steps: float = 0.0
    started: int = 0

    def volume(self) -> float:
        """Hypervolume of the whole trials."""
        return hypervolume([p for _, p in self.whole], self.reference)

    def steps_to(self, target: float) -> float | None:
        """Steps spent when the whole trials first reached that hypervolume."""
        points: list[Point] = []
        for spent, point in self.whole:
            points.append(point)
            if hypervolume(points, self.reference) >= target:
                return spent
        return None


def replay(
    designs: Iterable[Curve],
    decide: Decide | None,
    objectives: Objectives,
    reference: Point,
    *,
    workers: int = 2,
    own_warm_start: bool = False,
    spent: float = 0.0,
    most: float = float("inf"),
    ended: Callable[[int, Curve, int], None] = lambda *_: None,
) -> Replay:
    """Run `designs`, drawn one at a time as workers become free, until they end or `most` steps are spent.

    `decide` is asked at every report (None: nobody is stopped); `ended` hears a trial's number, its curve
    and how many of its ranked steps it did, before the next design is drawn. `spent` is on the bill already.
    """
    told = Replay(objectives, reference, steps=spent)
    source: Iterator[Curve] = iter(designs)
    queue: list[tuple[float, int, int, Curve]] = []

    def start(at: float) -> None:
        if told.steps >= most:
            return
        curve = next(source, None)
        if curve is None:
            return
        wait = curve.before if own_warm_start else 0
        heapq.heappush(queue, (at + wait + curve.points[1][0] - curve.points[0][0], told.started, 1, curve))
        told.started += 1

    for _ in range(workers):
        start(0.0)
    while queue:
        at, number, index, curve = heapq.heappop(queue)
        told.steps += curve.points[index][0] - curve.points[index - 1][0]
        told.steps += curve.before if own_warm_start and index == 1 else 0
        last = index == len(curve.points) - 1
        stop = decide is not None and decide(f"t{number}", _report(curve, index, objectives)) != CONTINUE
        if not (last or stop):
            gap = curve.points[index + 1][0] - curve.points[index][0]
            heapq.heappush(queue, (at + gap, number, index + 1, curve))
            continue
        if last:  # a stop at the very end loses nothing
            distortion, perceptual = curve.final(objectives)
            values = {objectives.distortion: distortion, objectives.perceptual: perceptual}
            told.whole.append((told.steps, objectives.point(values)))
        ended(number, curve, int(curve.points[index][0]))
        start(at)
    return told


def _report(curve: Curve, index: int, objectives: Objectives) -> dict[str, Any]:
    """What a trial tells Tune at that evaluation."""
    distortion, perceptual = objectives.distortion, objectives.perceptual
    values = dict(zip((distortion, perceptual), curve.told(index, objectives), strict=True))
    start = curve.points[0]
    return {
        "phase": "gan",
        "gan_step": curve.points[index][0],
        f"warm/{distortion}": start[1],
        f"warm/{perceptual}": start[2],
        "gradient_share/adversarial": curve.share,
        **values,
    }


def whole_trials(curve: Curve) -> Curve:
    """The curve as a trial sees it that trains its own warm start: one axis for both phases."""
    later = [[curve.before + p[0], *p[1:]] for p in curve.points[1:]]
    return Curve([[0, *curve.early[0][1:]], *curve.early, *later], curve.share, plain=curve)


def ray_asha(objectives: Objectives, metric: str, mode: str, most: int, grace: int, reduction: int) -> Decide:
    """Ray Tune's own ASHA on one metric of whole trials."""
    from ray.tune.schedulers import AsyncHyperBandScheduler

    scheduler = AsyncHyperBandScheduler(
        time_attr="gan_step",
        metric=metric,
        mode=mode,
        max_t=most,
        grace_period=grace,
        reduction_factor=reduction,
    )
    trials: dict[str, Any] = {}

    def decide(trial_id: str, result: dict[str, Any]) -> str:
        if trial_id not in trials:
            trials[trial_id] = SimpleNamespace(trial_id=trial_id)
            scheduler.on_trial_add(None, trials[trial_id])
        return scheduler.on_trial_result(None, trials[trial_id], result)

    return decide
