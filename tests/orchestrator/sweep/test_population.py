"""Population based training: which member takes over from which, and a whole population without training."""

import random
from types import SimpleNamespace

import pytest

from experiments import recipes
from orchestrator.results.leaderboard import best_designs
from orchestrator.results.row import design_key
from orchestrator.search.space import LogFloat, Space
from orchestrator.sweep.population import Member, Population, replacements
from orchestrator.sweep.request import Request
from orchestrator.trial.spec import Lineage
from trainers.objectives import Objectives

OBJECTIVES = Objectives("psnr_y", "swd", 1.5)
ADVERSARIAL = "loss.adversarial_weight"


def row(swd, psnr=29.0, finished=True, **more):
    metrics = {"psnr_y": psnr, "swd": swd, "warm/psnr_y": 29.5, "warm/swd": 150.0}
    metrics |= {"bicubic/psnr_y": 28.0, "bicubic/swd": 170.0}
    return {"metrics": metrics, "finished": finished, "verdict": "trained to step 4 of 8"} | more


def member(swd, psnr=29.0, finished=True):
    """Good once, but worth `swd` now."""
    curve = ([0, 29.5, 150.0], [2, 29.4, 10.0], [4, psnr, swd], [6, psnr, swd], [8, psnr, swd])
    return Member({ADVERSARIAL: 0.1}, Lineage(), (row(10.0, 29.4, finished),), curve)


# -- who takes over from whom ---------------------------------------------------------------------------


def pairs(members):
    return replacements(members, OBJECTIVES, random.Random(0))


def test_the_last_quarter_takes_over_from_the_first():
    members = [member(100.0 + k) for k in range(8)]
    found = pairs(members)
    assert [place for place, _ in found] == [6, 7]
    assert {source for _, source in found} <= {0, 1}


def test_a_member_below_the_floor_ranks_behind_one_above_it():
    members = [member(150.0), member(90.0, 27.0), member(140.0), member(145.0)]
    assert pairs(members) == [(1, 2)]


def test_every_failed_network_is_replaced_and_none_is_taken():
    members = [member(100.0, finished=False), member(101.0, finished=False), member(120.0), member(110.0)]
    assert pairs(members) == [(0, 3), (1, 3)]
    assert pairs([member(100.0, finished=False)] * 4) == []


# -- a whole population, without training ---------------------------------------------------------------


class Sweep:
    """A double of a sweep: a network's SWD falls by its present adversarial weight at each step."""

    def __init__(self, trials=8, failed=()):
        config, space = recipes.demo(), Space("s", {ADVERSARIAL: LogFloat(0.01, 1.0)})
        request = Request(config=config, name="s", trials=trials, seed=3, stopping="pbt")
        plan = SimpleNamespace(generations=[4, 8, 12], space=space)
        self.context = SimpleNamespace(request=request, plan=plan, objectives=OBJECTIVES)
        self.failed, self.stages, self.swd = failed, [], {"": 150.0}

    def population(self):
        return Population(self.context, self.run_stage)

    def run_stage(self, context, stage):
        self.stages.append(stage)
        return [self.trained(stage, design) for design in stage.designs]

    def trained(self, stage, design):
        lineage = Lineage.from_dict(design["lineage"])
        self.swd[design["trial_id"]] = swd = self.swd[lineage.parent] - 4 * design[ADVERSARIAL]
        failed = design["trial_id"] in self.failed
        return row(
            swd,
            finished=not failed,
            trial_id=design["trial_id"],
            stage="screen",
            checkpoint=design["trial_id"],
            values={ADVERSARIAL: design[ADVERSARIAL]},
            curve=[[s, 29.0, swd] for s in range(lineage.start_step, lineage.end_step + 1, 2)],
            steps=lineage.end_step,
            diverged=failed,
            gpu_hours=1.0,
            cpu_hours=0.5,
            cost=2.0,
        )


def test_a_population_ends_better_than_its_best_first_draw_and_says_how():
    sweep = Sweep()
    whole = sweep.population()
    rows = whole.run()
    assert [stage.key for stage in sweep.stages] == ["screen-g0", "screen-g1", "screen-g2"]
    first = [design[ADVERSARIAL] for design in sweep.stages[0].designs]
    assert min(r["metrics"]["swd"] for r in rows) < 150.0 - 3 * 4 * max(first)
    assert len(rows) == 8 and len(whole.decisions) == 2 * 2, "a quarter at each of two steps"
    for r in rows:
        assert [p[0] for p in r["curve"]] == [0, 2, 4, 6, 8, 10, 12], "one line from its warm start on"
        assert (r["gpu_hours"], r["cost"]) == (3.0, 6.0), "all that was trained in its place"
        segments = Lineage.from_dict(r["lineage"]).segments
        expected = 150.0
        for (start, settings), end in zip(segments, [s for s, _ in segments[1:]] + [12], strict=True):
            expected -= (end - start) * settings[ADVERSARIAL]
        assert r["metrics"]["swd"] == pytest.approx(expected), "its lineage makes it again"
    for made in whole.decisions:
        assert f"took over m{made['from']:03d} at step {made['step']}" in rows[made["member"]]["verdict"]


def test_the_same_rows_lead_to_the_same_decisions():
    once, again = Sweep().population(), Sweep().population()
    assert once.run() == again.run()
    assert once.decisions == again.decisions


def test_a_failed_member_is_replaced_and_the_row_says_why():
    rows = Sweep(failed={"screen-g0-m005"}).population().run()
    assert "took over" in rows[5]["verdict"] and "(trained to step 4 of 8)" in rows[5]["verdict"]
    assert not rows[5]["diverged"] and rows[5]["gpu_hours"] == 3.0


def test_a_network_that_failed_at_the_end_is_not_confirmed():
    rows = Sweep(failed={"screen-g2-m000"}).population().run()
    assert rows[0]["diverged"]
    assert rows[0]["trial_id"] not in [r["trial_id"] for r in best_designs(rows, OBJECTIVES, 8)]


def test_equal_settings_with_two_lineages_are_two_designs():
    values = {"values": {ADVERSARIAL: 0.1}}
    ways = [((0, {ADVERSARIAL: a}), (4, {ADVERSARIAL: 0.1})) for a in (0.2, 0.3)]
    keys = {design_key(values | {"lineage": Lineage(segments).to_dict()}) for segments in ways}
    assert len(keys | {design_key(values)}) == 3
