"""The rules of early stopping: how many of the trials recorded at a rung are ahead of one of them.

Pure functions of the recorded values: neither names nor the order of arrival change a count.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from trainers.objectives import Point, dominates, front_ranks, order_feasible_first


@dataclass(frozen=True)
class RungEntry:
    """One trial at one rung: its point (larger is better) and the distortion it has to keep."""

    point: Point
    floor: float

    @cached_property
    def key(self) -> tuple[bool, float, float]:
        """Sort key, smaller is better; cached, since each later trial asks for it."""
        return order_feasible_first(self.point, self.floor)


class Rung:
    """All trials that ever reached one budget, sorted, so that ranking one more costs little."""

    def __init__(self) -> None:
        self.entries: dict[str, RungEntry] = {}
        """Trial id -> its entry, in order of arrival."""
        self.keys: list[tuple[bool, float, float]] = []
        """Sort keys of all entries, sorted."""
        self.perceptions: list[float] = []
        """Perceptions of all entries, sorted."""
        self.front: list[Point] = []
        """Points that no other dominates, sorted: distortion grows and perception falls."""

    def add(self, name: str, entry: RungEntry) -> None:
        """Record one more trial."""
        self.entries[name] = entry
        insort(self.keys, entry.key)
        insort(self.perceptions, entry.point[1])
        place = bisect_left(self.front, entry.point)
        if entry.point in self.front[place : place + 1] or self.is_dominated(entry.point):
            return
        first = place
        while first and dominates(entry.point, self.front[first - 1]):
            first -= 1
        self.front[first:place] = [entry.point]

    def is_dominated(self, point: Point) -> bool:
        """Return True if a recorded point dominates `point`."""
        place = bisect_left(self.front, point)
        return place < len(self.front) and dominates(self.front[place], point)

    def __len__(self) -> int:
        return len(self.entries)


def feasible_first(entry: RungEntry, rung: Rung) -> int:
    """Count the feasible and perceptually better trials; none are ahead of a feasible point on the front.

    Ranked by perception alone, members of the front with better distortion were stopped, which
    lost 5 % of the hypervolume. An infeasible trial is still ahead of all that it dominates.
    """
    if entry.point[0] >= entry.floor:
        return bisect_left(rung.keys, entry.key) if rung.is_dominated(entry.point) else 0
    return sum(o.key < entry.key and not dominates(entry.point, o.point) for o in rung.entries.values())


def nondominated_sorting(entry: RungEntry, rung: Rung) -> int:
    """Count the trials on earlier fronts, and those that an epsilon-net of this front takes earlier.

    Non-dominated sorting (Deb et al., 2002) with the tie-break of Salinas et al. (2021, MO-ASHA).
    """
    recorded = rung.entries.values()
    unique = sorted({o.point for o in recorded}, reverse=True)
    ranks = dict(zip(unique, front_ranks(unique), strict=True))
    own = ranks[entry.point]
    net = epsilon_net([p for p in unique if ranks[p] == own])
    place = {p: (own, net.index(p)) if ranks[p] == own else (ranks[p], 0) for p in unique}
    return sum(place[o.point] < place[entry.point] for o in recorded)


def single_objective(entry: RungEntry, rung: Rung) -> int:
    """Count the perceptually better trials, whatever their distortion (ASHA on one metric)."""
    return len(rung) - bisect_right(rung.perceptions, entry.point[1])


@dataclass(frozen=True)
class Rule:
    """A rule of early stopping: the order of trials at a rung."""

    count_ahead: Callable[[RungEntry, Rung], int]
    needs_gan_loss: bool = False
    """Stop a trial from the second rung on if no GAN loss changes its network.

    Otherwise the rule would rank the warm start of such a trial, which has the best distortion.
    """


RULES = {
    "feasible_first": Rule(feasible_first, needs_gan_loss=True),
    "front": Rule(nondominated_sorting),
    "asha": Rule(single_objective),
}


def epsilon_net(points: Sequence[Point]) -> list[Point]:
    """Return distinct points: the perceptually best first, then always the farthest from those taken.

    Distances are relative to each objective's range; of equally far points the perceptually better is first.
    """
    spans = [max(axis) - min(axis) or 1.0 for axis in zip(*points, strict=True)]
    left = sorted(points, key=lambda p: (-p[1], -p[0]))
    taken = [left.pop(0)]
    away = {p: math.inf for p in left}
    while left:
        for p in left:
            away[p] = min(away[p], math.dist(_scaled(p, spans), _scaled(taken[-1], spans)))
        taken.append(max(left, key=lambda p: (away[p], p[1], p[0])))
        left.remove(taken[-1])
    return taken


def _scaled(point: Point, spans: Sequence[float]) -> Point:
    return point[0] / spans[0], point[1] / spans[1]
