"""Front, hypervolume and means over seeds: known answers."""

import pytest

from orchestrator.analysis.selection import hypervolume, mean_metrics
from trainers.config import ObjectiveConfig
from trainers.objectives import Objectives, dominates, front, order_feasible_first


def test_objectives_turn_both_so_that_larger_is_better():
    o = Objectives.of(ObjectiveConfig(perceptual="swd", delta_db=0.5))
    row = {"psnr_y": 30.0, "swd": 120.0, "bicubic/psnr_y": 29.0, "bicubic/swd": 230.0}
    assert o.point(row) == (30.0, -120.0)
    assert o.delta_db == 0.5


def test_dominance_needs_one_strictly_better():
    assert dominates((2, 2), (2, 1)) and dominates((2, 2), (1, 1))
    assert not dominates((2, 2), (2, 2)) and not dominates((2, 1), (1, 2))


def test_front_keeps_equal_points_and_the_order_they_came_in():
    assert front([(1, 1), (3, 1), (1, 3), (2, 2), (2, 2), (1, 2)]) == [1, 2, 3, 4]
    assert front([]) == []


def test_hypervolume_by_hand():
    # 3x1 + 2x1 + 1x1 squares above (0, 0)
    assert hypervolume([(1, 3), (2, 2), (3, 1)], (0, 0)) == 6
    assert hypervolume([(1, 3), (2, 2), (3, 1), (1, 1), (2, 2)], (0, 0)) == 6, (
        "dominated and equal add nothing"
    )
    assert hypervolume([(5, -1), (-1, 5)], (0, 0)) == 0, "bicubic must be beaten in both"
    assert hypervolume([(31.0, -120.0)], (29.0, -230.0)) == pytest.approx(2 * 110)
    assert hypervolume([], (0, 0)) == 0


def test_feasible_first():
    keys = [order_feasible_first(p, 10.0) for p in [(10.0, 1.0), (11.0, 1.0), (9.9, 5.0), (9.0, 9.0)]]
    assert sorted(range(4), key=keys.__getitem__) == [1, 0, 2, 3]


def test_mean_over_seeds_holds_what_all_seeds_hold():
    rows = [{"metrics": {"swd": 1.0, "psnr_y": 3.0, "x": 1.0}}, {"metrics": {"swd": 2.0, "psnr_y": 4.0}}]
    assert mean_metrics(rows) == {"psnr_y": 3.5, "swd": 1.5}
