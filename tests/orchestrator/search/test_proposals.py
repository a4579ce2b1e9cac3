"""Designs that are chosen before any trial has run."""

import pytest

from experiments.spaces import PHOTOS_SMALL
from orchestrator.search.proposals import draw, planned_architectures, starting_points
from orchestrator.search.space import Choice, LogFloat, Space

BLOCKS, NORM, ADV = "generator.num_blocks", "generator.norm", "loss.adversarial_weight"
POINTS = ({BLOCKS: 2, NORM: "none", ADV: 0.1}, {BLOCKS: 4, NORM: "batch", ADV: 0.2})
AXES = {BLOCKS: Choice((1, 2, 4)), NORM: Choice(("batch", "none")), ADV: LogFloat(1e-3, 1)}
SPACE = Space("s", AXES, points=POINTS)
GRID = Space("g", {BLOCKS: Choice((1, 2, 4)), ADV: Choice((0.1, 0.2))})


def test_a_space_of_few_architectures_starts_with_its_own_points():
    assert starting_points(SPACE, 6, "tpe", seed=0) == list(POINTS)
    assert starting_points(SPACE, 64, "random", seed=1) == list(POINTS)


def test_with_fewer_trials_than_architectures_all_designs_are_drawn_before():
    points = starting_points(SPACE, 4, "tpe", seed=0)
    assert len(points) == 4 and points[:2] == list(POINTS)
    assert all(set(p) == set(AXES) for p in points)
    assert points == starting_points(SPACE, 4, "tpe", seed=0) != starting_points(SPACE, 4, "tpe", seed=1)


def test_a_sweep_of_two_designs_is_one_of_random_designs_whichever_the_sampler():
    """docs/hours.md, "One training in place of a sweep", needs no second sweep because of this."""
    assert len(PHOTOS_SMALL.architectures()) > 2
    drawn = [starting_points(PHOTOS_SMALL, 2, sampler, seed=0) for sampler in ("gp", "random")]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 2


def test_a_grid_is_run_whole_or_a_random_part_of_it():
    whole = starting_points(GRID, 6, "grid", seed=0)
    assert whole == starting_points(GRID, 99, "grid", seed=5) == list(GRID.grid())
    part = starting_points(GRID, 3, "grid", seed=0)
    assert len({str(p) for p in part}) == 3 and all(p in whole for p in part)
    assert len({p[BLOCKS] for p in part}) > 1, "not the first three, of one architecture"
    assert part == starting_points(GRID, 3, "grid", seed=0)


@pytest.mark.parametrize("trials", [6, 64])
def test_every_architecture_needs_a_warm_start_if_trials_may_draw_it(trials):
    assert planned_architectures(SPACE, trials, "tpe", seed=0) == SPACE.architectures()


@pytest.mark.parametrize("trials", [1, 3])
def test_few_trials_need_the_warm_starts_of_what_they_draw(trials):
    planned = planned_architectures(SPACE, trials, "tpe", seed=3)
    drawn = [{k: p[k] for k in (BLOCKS, NORM)} for p in starting_points(SPACE, trials, "tpe", seed=3)]
    assert len(planned) == len({str(a) for a in drawn}) and all(a in planned for a in drawn)


def test_a_part_of_a_grid_needs_the_warm_starts_of_that_part():
    planned = planned_architectures(GRID, 2, "grid", seed=0)
    drawn = {p[BLOCKS] for p in starting_points(GRID, 2, "grid", seed=0)}
    assert {a[BLOCKS] for a in planned} == drawn


def test_draws_begin_with_the_points_and_keep_the_switches_of_axes():
    space = Space("s", {"loss.pixel_weight": LogFloat(0.1, 1, or_zero=True)}, points=())
    designs = list(draw(space, 40, seed=0))
    assert {d["loss.pixel_weight?"] for d in designs} == {True, False}
    assert all((d["loss.pixel_weight"] == 0) != d["loss.pixel_weight?"] for d in designs)
    assert next(draw(SPACE, 1, seed=0)) == POINTS[0]
