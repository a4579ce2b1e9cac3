"""The rules of early stopping: how many of those recorded at a rung are ahead of one of them.

Pure functions of the values recorded, so the answer depends neither on names nor on the order of arrival.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from trainers.objectives import Point, dominates, order_feasible_first


@dataclass(frozen=True)
class Entry:
    """One trial at one rung: its point (larger is better) and the distortion it has to keep."""

    point: Point
    floor: float

    @cached_property
    def key(self) -> tuple[bool, float, float]:
        """Smaller is better. Kept, since each later trial asks for it."""
        return order_feasible_first(self.point, self.floor)


class Rung:
    """All who ever reached one budget, kept in order: ranking one more costs little, however many came."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        """Trial id -> what it was worth here, in order of arrival."""
        self.keys: list[tuple[bool, float, float]] = []
        """Feasible first, sorted."""
        self.perceptions: list[float] = []
        """Sorted."""
        self.front: list[Point] = []
        """What nothing dominates, sorted: distortion grows and perception falls."""

    def enter(self, name: str, entry: Entry) -> None:
        """One more."""
        self.entries[name] = entry
        insort(self.keys, entry.key)
        insort(self.perceptions, entry.point[1])
        place = bisect_left(self.front, entry.point)
        if entry.point in self.front[place : place + 1] or self.beats(entry.point):
            return
        first = place
        while first and dominates(entry.point, self.front[first - 1]):
            first -= 1
        self.front[first:place] = [entry.point]

    def beats(self, point: Point) -> bool:
        """Whether anything here dominates `point`."""
        place = bisect_left(self.front, point)
        return place < len(self.front) and dominates(self.front[place], point)

    def __len__(self) -> int:
        return len(self.entries)


Rule = Callable[[Entry, Rung], int]


def feasible_first(entry: Entry, rung: Rung) -> int:
    """Ahead is what is feasible and perceptually better; of a feasible point on the front, nothing is.

    A sweep answers with a front. Ranked by perception alone, its members of better distortion were stopped,
    and with them a twentieth of the hypervolume. What is not feasible still stands before all it dominates.
    """
    if entry.point[0] >= entry.floor:
        return bisect_left(rung.keys, entry.key) if rung.beats(entry.point) else 0
    return sum(o.key < entry.key and not dominates(entry.point, o.point) for o in rung.entries.values())


def nondominated_sorting(entry: Entry, rung: Rung) -> int:
    """Ahead is what lies on an earlier front, then what an epsilon-net of the same front takes earlier.

    Non-dominated sorting (Deb et al., 2002) with the tie-break of Salinas et al. (2021, MO-ASHA).
    """
    recorded = rung.entries.values()
    unique = sorted({o.point for o in recorded}, reverse=True)
    ranks = dict(zip(unique, front_ranks(unique), strict=True))
    own = ranks[entry.point]
    net = epsilon_net([p for p in unique if ranks[p] == own])
    place = {p: (own, net.index(p)) if ranks[p] == own else (ranks[p], 0) for p in unique}
    return sum(place[o.point] < place[entry.point] for o in recorded)


def single_objective(entry: Entry, rung: Rung) -> int:
    """Ahead is what is perceptually better, whatever it cost in distortion (ASHA on one metric)."""
    return len(rung) - bisect_right(rung.perceptions, entry.point[1])


RULES: dict[str, Rule] = {
    "feasible_first": feasible_first,
    "front": nondominated_sorting,
    "asha": single_objective,
}


def front_ranks(points: Sequence[Point]) -> list[int]:
    """Which front each of these distinct points lies on (0: nothing dominates it), in O(n log n).

    `points` come sorted, largest first: one that follows is dominated by a front exactly where that front
    already holds as large a second coordinate.
    """
    heights: list[float] = []  # minus the largest second coordinate of each front, which grows with the front
    ranks = []
    for _, second in points:
        rank = bisect_right(heights, -second)
        heights[rank : rank + 1] = [-second]
        ranks.append(rank)
    return ranks


def epsilon_net(points: Sequence[Point]) -> list[Point]:
    """Distinct points, the perceptually best first, then always the one farthest from those taken.

    Distances are relative to each objective's range; of equally far ones the perceptually better comes first.
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
