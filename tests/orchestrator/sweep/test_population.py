"""Population based training: what is drawn next, who takes over from whom, and the parts of a trial's way."""

import random
from types import SimpleNamespace

import pytest

from datasets.errors import UserError
from experiments import recipes, spaces
from orchestrator.results.leaderboard import to_confirm
from orchestrator.results.row import design_key
from orchestrator.schedulers.rungs import generations
from orchestrator.search.perturb import perturb
from orchestrator.search.space import Choice, Derived, LogFloat, Space
from orchestrator.sweep.population import Member, Population, replacements
from orchestrator.sweep.request import Budget, Request
from orchestrator.trial.lineage import Lineage
from trainers.config import flatten
from trainers.objectives import Objectives

OBJECTIVES = Objectives("psnr_y", "swd", 1.5)
ADVERSARIAL, PIXEL, RATE = "loss.adversarial_weight", "loss.pixel_weight", "optim.lr_g"


def row(swd, psnr=29.0, finished=True, **more):
    metrics = {"psnr_y": psnr, "swd": swd, "warm/psnr_y": 29.5, "warm/swd": 150.0}
    metrics |= {"bicubic/psnr_y": 28.0, "bicubic/swd": 170.0}
    return {"metrics": metrics, "finished": finished, "verdict": "trained to step 4 of 8"} | more


def member(swd, psnr=29.0, finished=True):
    """Good once, but worth `swd` now."""
    curve = ([0, 29.5, 150.0], [2, 29.4, 10.0], [4, psnr, swd], [6, psnr, swd], [8, psnr, swd])
    return Member({ADVERSARIAL: 0.1}, Lineage(), (row(10.0, 29.4, finished),), curve)


# -- when ---------------------------------------------------------------------------------------------


def test_generations_end_where_trials_can_be_ranked():
    assert generations(100_000, 1000, 0.999) == [
        12_000,
        25_000,
        38_000,
        50_000,
        62_000,
        75_000,
        88_000,
        100_000,
    ]
    assert generations(200, 10, 0.97) == [100, 200], "two averages over 33 steps come before"
    assert generations(120, 8, 0.97) == [120], "too short to change anything"
    assert generations(12, 2, 0.0) == [6, 12], "a rank needs three evaluations"


# -- the way of a trial --------------------------------------------------------------------------------


def test_the_usual_course_is_one_part_from_the_warm_start_to_the_end():
    assert list(Lineage().left(0, 80)) == [({}, 80)]
    assert list(Lineage.of(None).left(33, 80)) == [({}, 80)]
    assert Lineage().words() == ""


def test_a_course_goes_on_with_the_part_it_was_in():
    course = Lineage(((0, {ADVERSARIAL: 1.0}), (20, {ADVERSARIAL: 2.0}), (50, {ADVERSARIAL: 3.0})))
    whole = [({ADVERSARIAL: 1.0}, 20), ({ADVERSARIAL: 2.0}, 50), ({ADVERSARIAL: 3.0}, 80)]
    assert list(course.left(0, 80)) == whole
    assert list(course.left(20, 80)) == whole[1:]
    assert list(course.left(79, 80)) == whole[2:]
    assert course.words() == " (changed at 20, 50)"
    ends = Lineage(course.parts[:2], parent="x", since=20, until=50)
    assert list(ends.left(20, 80)) == whole[1:2]
    assert Lineage.of(ends.told()) == ends


# -- what is tried next ---------------------------------------------------------------------------------

SPACE = Space(
    name="near",
    axes={
        ADVERSARIAL: LogFloat(0.01, 1.0),
        RATE: Choice((1e-4, 2e-4, 4e-4)),
        "loss.adversarial": Choice(("standard", "relativistic")),
        PIXEL: LogFloat(0.1, 1.0, or_zero=True),
        "loss.tv_weight": Derived((RATE,), (((1e-4,), 0.0), ((2e-4,), 1.0), ((4e-4,), 2.0))),
    },
    only_if={PIXEL: {"loss.adversarial": "standard"}},
)
NOW = {ADVERSARIAL: 0.9, PIXEL: 0.0, RATE: 1e-4, "loss.adversarial": "standard", "loss.tv_weight": 0.0}


def many(now, count=2000):
    draw = random.Random(0)
    return [perturb(SPACE, now, draw) for _ in range(count)]


def test_what_is_explored_lies_near_and_on_its_axes():
    found = many(NOW)
    weights = [f[ADVERSARIAL] for f in found]
    assert all(0.01 <= w <= 1.0 for w in weights)
    near = [w for w in weights if w in (0.9 * 0.8, 1.0)]  # 0.9 * 1.25 lies beyond the axis
    assert 0.70 < len(near) / len(found) < 0.80
    rates = [f[RATE] for f in found]
    assert 0.06 < rates.count(4e-4) / len(found) < 0.11, "two steps away: only where it is drawn anew"
    assert all(f["loss.tv_weight"] == {1e-4: 0.0, 2e-4: 1.0, 4e-4: 2.0}[f[RATE]] for f in found)
    kinds = [f["loss.adversarial"] for f in found]
    assert 0.84 < kinds.count("standard") / len(found) < 0.91, "no order, so no neighbour"


def test_an_axis_that_is_off_stays_off_or_is_drawn_and_follows_its_condition():
    found = many(NOW)
    assert all((PIXEL in f) == (f["loss.adversarial"] == "standard") for f in found)
    on = [f[PIXEL] for f in found if PIXEL in f]
    assert 0.84 < on.count(0.0) / len(on) < 0.91
    assert all(0.1 <= v <= 1.0 for v in on if v)


def test_a_value_off_its_axis_is_drawn_anew():
    assert {f[RATE] for f in many(NOW | {RATE: 7e-4}, 100)} == {1e-4, 2e-4, 4e-4}


# -- who takes over from whom ---------------------------------------------------------------------------


def pairs(members):
    return replacements(members, OBJECTIVES, random.Random(0))


def test_the_last_quarter_takes_over_from_the_first():
    members = [member(100.0 + k) for k in range(8)]
    found = pairs(members)
    assert [place for place, _ in found] == [6, 7]
    assert {source for _, source in found} <= {0, 1}


def test_who_fell_below_the_floor_is_behind_who_kept_it():
    members = [member(150.0), member(90.0, 27.0), member(140.0), member(145.0)]
    assert pairs(members) == [(1, 2)]


def test_every_lost_network_is_replaced_and_none_is_taken():
    members = [member(100.0, finished=False), member(101.0, finished=False), member(120.0), member(110.0)]
    assert pairs(members) == [(0, 3), (1, 3)]
    assert pairs([member(100.0, finished=False)] * 4) == []


# -- a whole population, without training ---------------------------------------------------------------


class Sweep:
    """Stands where the sweep does: a network's SWD falls by its present adversarial weight at each step."""

    def __init__(self, trials=8, lost=()):
        config = recipes.demo()
        self.objectives, self.base, self.lost = OBJECTIVES, flatten(config), lost
        space = Space("s", {ADVERSARIAL: LogFloat(0.01, 1.0)})
        self.request = Request(config, space, "s", trials=trials, seed=3, stopping="pbt")
        self.prepared = SimpleNamespace(generations=[4, 8, 12])
        self.told, self.swd = [], {"": 150.0}

    def rows_of(self, stage):
        self.told.append(stage)
        return [self.trained(stage, design) for design in stage.designs]

    def trained(self, stage, design):
        course = Lineage.of(design["course"])
        self.swd[design["trial_id"]] = swd = self.swd[course.parent] - 4 * design[ADVERSARIAL]
        lost = design["trial_id"] in self.lost
        return row(
            swd,
            finished=not lost,
            trial_id=design["trial_id"],
            stage="screen",
            checkpoint=design["trial_id"],
            values={ADVERSARIAL: design[ADVERSARIAL]},
            curve=[[s, 29.0, swd] for s in range(course.since, course.until + 1, 2)],
            steps=course.until,
            diverged=lost,
            gpu_hours=1.0,
            cpu_hours=0.5,
            cost=2.0,
        )


def test_a_population_ends_better_than_its_best_first_draw_and_says_how():
    sweep = Sweep()
    whole = Population(sweep)
    rows = whole.run()
    assert [stage.key for stage in sweep.told] == ["screen-g0", "screen-g1", "screen-g2"]
    first = [design[ADVERSARIAL] for design in sweep.told[0].designs]
    assert min(r["metrics"]["swd"] for r in rows) < 150.0 - 3 * 4 * max(first)
    assert len(rows) == 8 and len(whole.decisions) == 2 * 2, "a quarter at each of two steps"
    for r in rows:
        assert [p[0] for p in r["curve"]] == [0, 2, 4, 6, 8, 10, 12], "one line from its warm start on"
        assert (r["gpu_hours"], r["cost"]) == (3.0, 6.0), "all that was trained in its place"
        parts = Lineage.of(r["course"]).parts
        expected = 150.0
        for (since, settings), until in zip(parts, [s for s, _ in parts[1:]] + [12], strict=True):
            expected -= (until - since) * settings[ADVERSARIAL]
        assert r["metrics"]["swd"] == pytest.approx(expected), "its course makes it again"
    for told in whole.decisions:
        assert f"took over m{told['from']:03d} at step {told['step']}" in rows[told["member"]]["verdict"]


def test_the_same_rows_lead_to_the_same_decisions():
    once, again = Population(Sweep()), Population(Sweep())
    assert once.run() == again.run()
    assert once.decisions == again.decisions


def test_a_lost_member_is_replaced_and_the_row_says_of_what_it_died():
    rows = Population(Sweep(lost={"screen-g0-m005"})).run()
    assert "took over" in rows[5]["verdict"] and "(trained to step 4 of 8)" in rows[5]["verdict"]
    assert not rows[5]["diverged"] and rows[5]["gpu_hours"] == 3.0


def test_a_network_that_is_lost_at_the_end_is_not_confirmed():
    rows = Population(Sweep(lost={"screen-g2-m000"})).run()
    assert rows[0]["diverged"]
    assert rows[0]["trial_id"] not in [r["trial_id"] for r in to_confirm(rows, OBJECTIVES, 8)]


def test_equal_settings_reached_on_two_ways_are_two_designs():
    values = {"values": {ADVERSARIAL: 0.1}}
    ways = [((0, {ADVERSARIAL: a}), (4, {ADVERSARIAL: 0.1})) for a in (0.2, 0.3)]
    keys = {design_key(values | {"course": Lineage(parts).told()}) for parts in ways}
    assert len(keys | {design_key(values)}) == 3


# -- what is refused --------------------------------------------------------------------------------------


def asked(space="balance", **options):
    config = recipes.build("srgan_8")
    return Request(config, spaces.build(space), "mine", stopping="pbt", **options)


def test_its_first_settings_are_drawn_at_random():
    assert asked(trials=8).filled().sampler == "random"


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"space": "architecture"}, "generator.num_blocks of space architecture does not allow"),
        ({"trials": 3}, "--trials 4 or more, but got 3"),
        ({"sampler": "tpe"}, "leave out --sampler tpe"),
        ({"budget": Budget(hours=2.0)}, "--max-hours and --max-gpu-hours cannot end it early"),
    ],
)
def test_what_a_population_cannot_do(options, sentence):
    with pytest.raises(UserError, match=sentence):
        asked(**options).filled()
