"""Sweeps over recorded curves: the product's own search and stopping rules, without the training.

Time is counted in training steps. Several workers run at once, each a trial; a trial reports at each recorded
evaluation, and the rule decides as it would have. Nothing here measures or trains.
"""

import heapq
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from orchestrator.results.trial_report import RANKED, TrialReport
from trainers.objectives import Objectives, Point, order_feasible_first

WINDOW = 3  # a rung value is the median of this many evaluations
CONTINUE = "CONTINUE"


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


@dataclass(frozen=True)
class Curve:
    """The evaluations of one design's trial: (step, distortion, perception) from its start to its end."""

    points: Sequence[Sequence[float]]
    share: float = 0.2
    """Share of the adversarial term in the gradient."""
    before: int = 0
    """Steps that a trial without a shared warm start trains first."""
    early: Sequence[Sequence[float]] = ()
    """The evaluations of those steps, on their own axis."""
    plain: "Curve | None" = None
    """The GAN phase of a trial that reports its newest values over both phases: the curve it is valued by."""
    known: dict[tuple[Objectives, int], tuple[float, float]] = field(default_factory=dict, compare=False)
    """Values of `ranked` so far; each follows from the one before."""

    def smoothed(self, index: int) -> tuple[float, float]:
        """Return the median of the last evaluations up to that index."""
        window = self.points[max(0, index + 1 - WINDOW) : index + 1]
        return statistics.median(p[1] for p in window), statistics.median(p[2] for p in window)

    def ranked(self, index: int, objectives: Objectives) -> tuple[float, float]:
        """Return what the trial is ranked by there: its best so far by the product's rule, or its newest."""
        if self.plain is not None:
            return self.smoothed(index)
        if (objectives, index) not in self.known:
            before = [self.ranked(index - 1, objectives)] if index else []
            best = min((*before, self.smoothed(index)), key=self._order(objectives))
            self.known[objectives, index] = best
        return self.known[objectives, index]

    def later(self, index: int, objectives: Objectives) -> tuple[float, float]:
        """Return the best of the evaluations after `index`, of which none contains one up to there."""
        after = range(index + WINDOW, len(self.points))
        return min((self.smoothed(i) for i in after), key=self._order(objectives))

    def _order(self, objectives: Objectives) -> Callable[[tuple[float, float]], tuple[bool, float, float]]:
        """Return the sort key of smoothed values by the product's rule, smaller is better."""
        names = objectives.distortion, objectives.perceptual
        floor = objectives.floor(dict(zip(names, self.points[0][1:], strict=True)))
        return lambda values: order_feasible_first(
            objectives.point(dict(zip(names, values, strict=True))), floor
        )

    def final(self, objectives: Objectives) -> tuple[float, float]:
        """Return the value of the trial when it ran to its end."""
        return (self.plain or self).ranked(len((self.plain or self).points) - 1, objectives)

    @property
    def steps(self) -> int:
        """Steps of the phase that is ranked."""
        return int(self.points[-1][0])


Decide = Callable[[str, TrialReport], str]
"""(trial id, report) -> CONTINUE or STOP."""


@dataclass
class Replay:
    """The result of a sweep: its whole trials in the order they ended, and the steps spent by then."""

    objectives: Objectives
    reference: Point
    whole: list[tuple[float, Point]] = field(default_factory=list)
    """(steps of all trials until then, point of the trial that was complete then)."""
    steps: float = 0.0
    started: int = 0

    def volume(self) -> float:
        """Return the hypervolume of the whole trials."""
        return hypervolume([p for _, p in self.whole], self.reference)

    def steps_to(self, target: float) -> float | None:
        """Return the steps spent when the whole trials first reached that hypervolume, or None."""
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

    Args:
        decide: called at every report; None stops no trial.
        own_warm_start: each trial first trains the steps of its own warm start.
        spent: steps that were spent before the first trial.
        ended: called with a trial's number, its curve and its last ranked step, before the next is drawn.
    """
    result = Replay(objectives, reference, steps=spent)
    source: Iterator[Curve] = iter(designs)
    queue: list[tuple[float, int, int, Curve]] = []

    def start(at: float) -> None:
        if result.steps >= most:
            return
        curve = next(source, None)
        if curve is None:
            return
        wait = curve.before if own_warm_start else 0
        heapq.heappush(queue, (at + wait + curve.points[1][0] - curve.points[0][0], result.started, 1, curve))
        result.started += 1

    for _ in range(workers):
        start(0.0)
    while queue:
        at, number, index, curve = heapq.heappop(queue)
        result.steps += curve.points[index][0] - curve.points[index - 1][0]
        result.steps += curve.before if own_warm_start and index == 1 else 0
        last = index == len(curve.points) - 1
        stop = decide is not None and decide(f"t{number}", _report(curve, index, objectives)) != CONTINUE
        if not (last or stop):
            gap = curve.points[index + 1][0] - curve.points[index][0]
            heapq.heappush(queue, (at + gap, number, index + 1, curve))
            continue
        if last:  # a stop at the very end loses nothing
            distortion, perceptual = curve.final(objectives)
            values = {objectives.distortion: distortion, objectives.perceptual: perceptual}
            result.whole.append((result.steps, objectives.point(values)))
        ended(number, curve, int(curve.points[index][0]))
        start(at)
    return result


def _report(curve: Curve, index: int, objectives: Objectives) -> TrialReport:
    """Return the trial's report at that evaluation."""
    names, start = (objectives.distortion, objectives.perceptual), curve.points[0]
    return TrialReport(
        phase="gan",
        step=int(curve.points[index][0]),
        max_steps=curve.steps,
        ranked=dict(zip(names, curve.ranked(index, objectives), strict=True)),
        warm_start=dict(zip(names, start[1:], strict=True)),
        gradient_shares={"adversarial": curve.share},
    )


def whole_trials(curve: Curve) -> Curve:
    """Return the curve of a trial that trains its own warm start, with one axis for both phases."""
    later = [[curve.before + p[0], *p[1:]] for p in curve.points[1:]]
    return Curve([[0, *curve.early[0][1:]], *curve.early, *later], curve.share, plain=curve)


def ray_asha(
    objectives: Objectives,
    metric: str,
    mode: str,
    most: int,
    grace: int,
    reduction: int,
    brackets: int = 1,
) -> Decide:
    """Return the decisions of Ray Tune's own ASHA on one metric; with several brackets, of its Hyperband."""
    from ray.tune.schedulers import AsyncHyperBandScheduler

    scheduler = AsyncHyperBandScheduler(
        time_attr="step",
        metric=RANKED + metric,
        mode=mode,
        max_t=most,
        grace_period=grace,
        reduction_factor=reduction,
        brackets=brackets,
    )
    trials: dict[str, Any] = {}

    def decide(trial_id: str, report: TrialReport) -> str:
        if trial_id not in trials:
            trials[trial_id] = SimpleNamespace(trial_id=trial_id)
            scheduler.on_trial_add(None, trials[trial_id])
        result = {RANKED + name: value for name, value in report.ranked.items()} | {"step": report.step}
        return scheduler.on_trial_result(None, trials[trial_id], result)

    return decide
