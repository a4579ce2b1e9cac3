"""Population based training of the GAN phase (Jaderberg et al., 2017): designs that change as they train.

Every member trains a part of the phase; then the last quarter takes over networks and settings of the first
quarter and moves those settings a little. Each part of a member is a trial of its own, and what is decided
between two parts follows from their rows and the sweep's seed alone: nothing of it lives in a scheduler's
memory, so a sweep that died goes on with the part it was in.
"""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.results.row import Row
from orchestrator.search import proposals
from orchestrator.search.labels import label, settings_of
from orchestrator.search.perturb import perturb
from orchestrator.search.space import POPULATION
from orchestrator.sweep.stage import Stage
from orchestrator.trial.lineage import Lineage
from trainers.objectives import Objectives, order_feasible_first
from trainers.state import RUNG_WINDOW

if TYPE_CHECKING:
    from orchestrator.sweep.stages import Sweep


@dataclass(frozen=True)
class Member:
    """One place in the population, whoever holds it now."""

    settings: dict[str, Any]
    course: Lineage
    rows: tuple[Row, ...] = ()
    """Of the parts that were trained in this place; they are paid for whoever took it over."""
    curve: tuple[Any, ...] = ()
    """Of the network that is here now, from its warm start on."""
    said: tuple[str, ...] = ()

    @property
    def row(self) -> Row:
        """Of its newest part."""
        return self.rows[-1]

    @property
    def lost(self) -> bool:
        """Whether its newest part left no network: it diverged, or failed."""
        return not self.row["finished"]


class Population:
    """The screen stage of a sweep with --stopping pbt."""

    def __init__(self, sweep: "Sweep") -> None:
        self.sweep, self.request = sweep, sweep.request
        self.ends = sweep.prepared.generations
        drawn = [self._all(values) for values in proposals.draw(self.request)]
        self.members = [Member(s, Lineage(((0, s),))) for s in drawn]
        self.decisions: list[dict[str, Any]] = []

    def run(self) -> list[Row]:
        """One row for each place: what came to its end there."""
        for generation, until in enumerate(self.ends):
            rows = self.sweep.rows_of(Stage("screen", self._designs(generation, until), f"-g{generation}"))
            self.members = [_grown(m, row) for m, row in zip(self.members, rows, strict=True)]
            if until != self.ends[-1]:
                self._select(generation, until)
        return [_whole(member) for member in self.members]

    def _all(self, values: dict[str, Any]) -> dict[str, Any]:
        """With every axis: one that is off in this part must not keep what an earlier part gave it."""
        usual = {name: self.sweep.base[name] for name in self.request.space.axes}
        return usual | settings_of(values)

    def _designs(self, generation: int, until: int) -> tuple[dict[str, Any], ...]:
        since = self.ends[generation - 1] if generation else 0
        return tuple(
            {
                "trial_id": f"screen-g{generation}-m{place:03d}",
                "course": replace(member.course, since=since, until=until).told(),
                **member.settings,
            }
            for place, member in enumerate(self.members)
        )

    def _select(self, generation: int, until: int) -> None:
        draw = random.Random(f"{self.request.seed}-{generation}")
        before = list(self.members)
        for place, source in replacements(before, self.sweep.objectives, draw):
            settings = self._all(perturb(self.request.space, before[source].settings, draw))
            self.members[place] = _taken_over(before[place], before[source], source, settings, until)
            told = {"step": until, "member": place, "from": source, "settings": settings}
            self.decisions.append(told)


def replacements(
    members: Sequence[Member], objectives: Objectives, draw: random.Random
) -> list[tuple[int, int]]:
    """(place, place whose network it takes over): the last quarter, and all that were lost, by chance from
    the first quarter. None where every network was lost."""
    order = sorted(range(len(members)), key=lambda i: (*_rank(members[i], objectives), i))
    quarter = max(1, len(members) // POPULATION)
    best = [i for i in order[:quarter] if not members[i].lost]
    worst = [i for i in order if i not in best and (i in order[-quarter:] or members[i].lost)]
    return [(place, draw.choice(best)) for place in sorted(worst)] if best else []


def _rank(member: Member, objectives: Objectives) -> tuple[Any, ...]:
    """Smaller is better: the rule of the sweep, feasible first."""
    if member.lost:
        return True, False, 0.0, 0.0
    floor = member.row["metrics"][f"warm/{objectives.distortion}"] - objectives.delta_db
    return False, *order_feasible_first(objectives.point(_now(member, objectives)), floor)


def _now(member: Member, objectives: Objectives) -> dict[str, float]:
    """What the network is worth that would be taken over: the newest, not the best that was."""
    window = member.curve[-RUNG_WINDOW:]
    names = (objectives.distortion, objectives.perceptual)
    return {m: statistics.median(point[k] for point in window) for k, m in enumerate(names, start=1)}


def _grown(member: Member, row: Row) -> Member:
    """After one more part; a lost one keeps the checkpoint it had."""
    curve = (*member.curve, *(p for p in row["curve"] if not member.curve or p[0] > member.curve[-1][0]))
    parent = row["checkpoint"] if row["finished"] else member.course.parent
    course = replace(member.course, parent=parent)
    return replace(member, rows=(*member.rows, row), curve=curve, course=course)


def _taken_over(own: Member, other: Member, source: int, settings: dict[str, Any], step: int) -> Member:
    """The place of `own`, with the network of `other` (who holds place `source`) and new settings."""
    course = replace(other.course, parts=(*other.course.parts, (step, settings)))
    why = f" ({own.row['verdict'].partition(';')[0]})" if own.lost else ""
    said = (*own.said, f"took over m{source:03d} at step {step}{why}")
    return Member(settings, course, own.rows, other.curve, said)


def _whole(member: Member) -> Row:
    """The row of a place: its last network, and what all parts in this place cost."""
    course = Lineage(member.course.parts)
    costs = {k: sum(row[k] for row in member.rows) for k in ("gpu_hours", "cpu_hours", "cost")}
    return (
        member.row
        | costs
        | {
            "design": label(member.settings) + course.words(),
            "curve": list(member.curve),
            "course": course.told(),
            "verdict": "; ".join([member.row["verdict"], *member.said]),
        }
    )
