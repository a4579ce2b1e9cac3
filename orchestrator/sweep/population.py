"""Population based training of the GAN phase (Jaderberg et al., 2017): designs that change as they train.

Each member trains a segment of the phase; then the last quarter takes over networks and settings of the first
quarter (exploit) and perturbs the settings (explore). Each segment of a member is a trial. A decision between
two segments depends only on their rows and the sweep's seed: no scheduler holds any of it in memory, so a
sweep that died resumes with the segment it was in.
"""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.results.labels import label, settings_of
from orchestrator.results.row import Row
from orchestrator.results.sweep_folder import read_stage, write_stage
from orchestrator.search.perturb import perturb
from orchestrator.search.proposals import draw
from orchestrator.search.space import POPULATION
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.stage import Stage
from orchestrator.trial.spec import Lineage
from trainers.config import flatten
from trainers.objectives import Objectives
from trainers.state import RUNG_WINDOW

RunStage = Callable[[SweepContext, Stage], list[Row]]


@dataclass(frozen=True)
class Member:
    """One place in the population, whichever network it holds now."""

    settings: dict[str, Any]
    lineage: Lineage
    rows: tuple[Row, ...] = ()
    """Rows of the segments trained in this place; their cost counts here even if it was taken over later."""
    curve: tuple[Any, ...] = ()
    """Learning curve of the network that is here now, from its warm start on."""
    history: tuple[str, ...] = ()
    """Networks that were taken over, in words."""

    @property
    def row(self) -> Row:
        """The row of the newest segment."""
        return self.rows[-1]

    @property
    def failed(self) -> bool:
        """True if the newest segment left no network: it diverged, or failed."""
        return not self.row["finished"]


def run_population(context: SweepContext, run_stage: RunStage) -> list[Row]:
    """Run the screen stage as population based training; return one row for each place."""
    name = context.request.name
    rows = read_stage(context.storage, name, "screen")
    if rows is None:
        population = Population(context, run_stage)
        rows = population.run()
        write_stage(context.storage, name, "screen-decisions", population.decisions)
        write_stage(context.storage, name, "screen", rows)
    return rows


class Population:
    """The members of a population, and the decisions between their segments."""

    def __init__(self, context: SweepContext, run_stage: RunStage) -> None:
        self.context, self.run_stage = context, run_stage
        self.space, self.ends = context.plan.space, context.plan.generations
        request = context.request
        self.base = flatten(request.config)
        drawn = [self._every_axis(v) for v in draw(self.space, request.trials, request.seed)]
        self.members = [Member(s, Lineage(((0, s),))) for s in drawn]
        self.decisions: list[dict[str, Any]] = []

    def run(self) -> list[Row]:
        """Return one row for each place: the network that reached the end there."""
        for generation, end in enumerate(self.ends):
            stage = Stage("screen", self._designs(generation, end), f"-g{generation}")
            rows = {row["trial_id"]: row for row in self.run_stage(self.context, stage)}
            ids = [design["trial_id"] for design in stage.designs]
            self.members = [_extend(m, rows[i]) for m, i in zip(self.members, ids, strict=True)]
            if end != self.ends[-1]:
                self._select(generation, end)
        return [_whole_row(member) for member in self.members]

    def _every_axis(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values for all axes: one that is off now must not keep an earlier segment's value."""
        return {name: self.base[name] for name in self.space.axes} | settings_of(values)

    def _designs(self, generation: int, end: int) -> tuple[dict[str, Any], ...]:
        start = self.ends[generation - 1] if generation else 0
        return tuple(
            {
                "trial_id": f"screen-g{generation}-m{place:03d}",
                "lineage": replace(member.lineage, start_step=start, end_step=end).to_dict(),
                **member.settings,
            }
            for place, member in enumerate(self.members)
        )

    def _select(self, generation: int, step: int) -> None:
        rng = random.Random(f"{self.context.request.seed}-{generation}")
        before = list(self.members)
        for place, source in replacements(before, self.context.objectives, rng):
            settings = self._every_axis(perturb(self.space, before[source].settings, rng))
            self.members[place] = _exploit(before[place], before[source], source, settings, step)
            decision = {"step": step, "member": place, "from": source, "settings": settings}
            self.decisions.append(decision)


def replacements(
    members: Sequence[Member], objectives: Objectives, rng: random.Random
) -> list[tuple[int, int]]:
    """Return (place, place whose network it takes over) for the last quarter and all that failed.

    The source is drawn from the first quarter. Empty if every network failed.
    """
    order = sorted(range(len(members)), key=lambda i: (*_rank(members[i], objectives), i))
    quarter = max(1, len(members) // POPULATION)
    best = [i for i in order[:quarter] if not members[i].failed]
    worst = [i for i in order if i not in best and (i in order[-quarter:] or members[i].failed)]
    return [(place, rng.choice(best)) for place in sorted(worst)] if best else []


def _rank(member: Member, objectives: Objectives) -> tuple[Any, ...]:
    """Return a sort key, smaller is better: feasible first, failed last."""
    if member.failed:
        return True, False, 0.0, 0.0
    return False, *objectives.order(_newest(member, objectives), member.row["metrics"], "warm/")


def _newest(member: Member, objectives: Objectives) -> dict[str, float]:
    """Return the metrics of the network that would be taken over: the newest, not the best so far."""
    window = member.curve[-RUNG_WINDOW:]
    names = (objectives.distortion, objectives.perceptual)
    return {m: statistics.median(point[k] for point in window) for k, m in enumerate(names, start=1)}


def _extend(member: Member, row: Row) -> Member:
    """Return the member after one more segment; a failed one keeps the checkpoint it had."""
    curve = (*member.curve, *(p for p in row["curve"] if not member.curve or p[0] > member.curve[-1][0]))
    parent = (row["checkpoint"] or "") if row["finished"] else member.lineage.parent
    lineage = replace(member.lineage, parent=parent)
    return replace(member, rows=(*member.rows, row), curve=curve, lineage=lineage)


def _exploit(own: Member, other: Member, source: int, settings: dict[str, Any], step: int) -> Member:
    """Return the place of `own` with the network of `other` (in place `source`) and new settings."""
    lineage = replace(other.lineage, segments=(*other.lineage.segments, (step, settings)))
    why = f" ({own.row['verdict'].partition(';')[0]})" if own.failed else ""
    history = (*own.history, f"took over m{source:03d} at step {step}{why}")
    return Member(settings, lineage, own.rows, other.curve, history)


def _whole_row(member: Member) -> Row:
    """Return the row of a place: its last network, and the cost of all segments trained there."""
    lineage = Lineage(member.lineage.segments)
    return {
        **member.row,
        "gpu_hours": sum(row["gpu_hours"] for row in member.rows),
        "cpu_hours": sum(row["cpu_hours"] for row in member.rows),
        "cost": sum(row["cost"] for row in member.rows),
        "design": label(member.settings) + lineage.describe(),
        "curve": list(member.curve),
        "lineage": lineage.to_dict(),
        "verdict": "; ".join([member.row["verdict"], *member.history]),
    }
