"""Rungs and generations: on the grid of evaluations, and never before a rank says anything."""

import pytest

from orchestrator.schedulers.rungs import earliest, generations, rungs


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ((120, 8, 2, 2), [32, 64]),
        ((200_000, 5_000, 3, 2), [20_000, 65_000]),
        ((64, 8, 4, 3), [24]),  # a median of three evaluations comes no earlier
        ((16, 8, 2, 2), []),
        ((120, 8, 2, 0), []),
        ((120, 8, 2, 2, 0.97), [64]),
        ((200, 10, 3, 2, 0.97), [70]),  # an average over 33 steps says nothing at 22, nor at 30
        ((200_000, 5_000, 3, 2, 0.999), [20_000, 65_000]),
    ],
)
def test_rungs(budget, expected):
    assert rungs(*budget) == expected


def test_nothing_is_ranked_before_three_evaluations_or_two_averages():
    assert earliest(8, 0.0) == 24
    assert earliest(10, 0.97) == 70, "two averages over 33 steps, on the grid of 10"
    assert earliest(5_000, 0.999) == 15_000


def test_generations_end_on_the_grid_and_the_last_with_the_phase():
    ends = generations(100_000, 1000, 0.999)
    assert len(ends) == 8 and ends[-1] == 100_000
    assert all(end % 1000 == 0 for end in ends)
    assert generations(200, 10, 0.97) == [100, 200]
    assert generations(16, 8, 0.0) == [16], "too short to rank anything in between"
