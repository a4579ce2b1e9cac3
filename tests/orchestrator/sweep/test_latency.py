"""Latency as a constraint: slow architectures are left out of plans, starting points and draws."""

import optuna
import pytest

from datasets.errors import UserError
from experiments.recipes.demo import demo
from orchestrator.search.proposals import draw, planned_architectures, starting_points
from orchestrator.search.sampler import build_search
from orchestrator.search.space import Choice, LogFloat, Space
from orchestrator.sweep.latency import as_plain, from_plain, leave_out_slow, measure_architectures
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.request import Request
from trainers.benchmarks.cost import InferenceCost
from trainers.config import override
from trainers.objectives import Objectives

BLOCKS, NORM, WEIGHT = "generator.num_blocks", "generator.norm", "loss.adversarial_weight"
SPACE = Space(
    "a",
    {BLOCKS: Choice((1, 2)), NORM: Choice(("none", "batch")), WEIGHT: LogFloat(1e-3, 1e-1)},
    points=({BLOCKS: 2, NORM: "none", WEIGHT: 1e-2}, {BLOCKS: 1, NORM: "none", WEIGHT: 1e-2}),
)
SLOW = {BLOCKS: 2, NORM: "none"}


class Plan(SweepPlan):
    """A plan without storage."""

    def find_architectures(self, resume):
        self.architectures = planned_architectures(self.space, 4, "tpe", 0)


def plan(max_ms, costs=None):
    config = override(demo(), {"objective.max_ms": max_ms, "objective.ms_px": 64, "generator.channels": 4})
    found = Plan(Request(config=config, name="s"), SPACE, None, {})
    found.find_architectures(False)
    if costs:
        paired = zip(SPACE.architectures(), costs, strict=True)
        found.costs = [(design, InferenceCost(ms, 1.0, 64, "a card")) for design, ms in paired]
    return found


def test_an_architecture_above_the_limit_is_said_and_never_drawn():
    limited = plan(20.0, [5, 6, 30, 7])
    first, second = leave_out_slow(limited, False)
    assert first == "latency  more than 20 ms: 1 of 4 architectures, left out:"
    assert second.endswith("30 ms and 1 MB at 64x64 on a card")
    space = limited.space
    assert len(limited.architectures) == 3 and SLOW not in limited.architectures
    assert starting_points(space, 4, "tpe", 0) == [SPACE.points[1]]
    assert all(space.allows(values) for values in draw(space, 40, seed=0))
    objectives, points = Objectives.of(demo().objective), starting_points(space, 4, "tpe", 0)
    search = build_search(space, objectives, "latency", 0, points, 40)
    designs = [search.suggest(f"t{k}") for k in range(40)]
    assert all(space.allows(d) for d in designs) and {d[BLOCKS] for d in designs} == {1, 2}
    states = [t.state for t in search._ot_study.get_trials()]
    assert optuna.trial.TrialState.FAIL in states and states.count(optuna.trial.TrialState.RUNNING) == 40
    choices = Space("b", {n: SPACE.axes[n] for n in (BLOCKS, NORM)}, excluded=(SLOW,))
    assert len(choices.grid()) == 3


def test_a_limit_that_nothing_keeps_to_is_refused_with_the_fastest():
    with pytest.raises(UserError, match=r"keeps to objective.max_ms 4: the fastest, .*, takes 5 ms and 1 MB"):
        leave_out_slow(plan(4.0, [5, 6, 30, 7]), False)
    assert leave_out_slow(plan(0.0, [5, 6, 30, 7]), False) == []


def test_costs_are_measured_for_every_architecture_and_found_by_a_design():
    measured = plan(0.0)
    measured.costs = measure_architectures(measured)
    assert from_plain(as_plain(measured.costs)) == measured.costs
    memory = [cost.memory_mb for _, cost in measured.costs]
    assert len(memory) == 4 and min(memory) > 0
    found = measured.inference_of({BLOCKS: 2, NORM: "none", WEIGHT: 0.01})
    assert found["px"] == 64 and found["ms"] == dict(measured.costs[2][1].__dict__)["ms"]
    assert measured.inference_of({BLOCKS: 3, NORM: "none"}) is None
    everything = plan(1e6)
    everything.architectures = []
    assert len(measure_architectures(everything)) == 4, "a limit decides on all that the space allows"
