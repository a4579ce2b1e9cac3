"""Regions, fronts and alphas of the perception-distortion plane."""

import re

from orchestrator.analysis.intervals import Interval
from orchestrator.report.svg import Mark
from orchestrator.studies.kinds.perception_distortion_results import (
    Alphas,
    _correlation,
    _front,
    _limits,
    _regions,
    _sweep_plane,
)


def test_alpha_on_the_psnr_network_is_printed_the_other_way_round():
    assert [Alphas((), "gan").printed(a) for a in (0.0, 0.25)] == ["0", "0.25"]
    assert [Alphas((), "psnr").printed(a) for a in (0.0, 0.25)] == ["1", "0.75"]


def test_regions_name_their_best_point_and_points_beyond_them():
    points = {"a": [Mark(10, 5), Mark(11, 4, word="0.5")], "c": [Mark(12, 3, word="c"), Mark(20, 1)]}
    table = _regions(points, "niqe")
    assert [row[2] for row in table.rows] == ["a 0.5", "c", "nothing lies here", ""]
    assert [row[3] for row in table.rows] == ["4.00", "3.00", "", ""]
    assert [row[4] for row in table.rows] == [2, 1, 0, 1]


def test_the_front_keeps_points_that_no_other_beats_in_both():
    assert _front({"a": [Mark(12, 3), Mark(11, 6)], "c": [Mark(10, 5)]}) == [(10, 5), (12, 3)]


def test_an_estimate_without_an_interval_has_limits_of_no_length():
    assert _limits(Interval(5.0, 4.0, 6.0, 30)) == (4.0, 6.0)
    assert _limits(Interval(5.0, float("nan"), float("nan"), 1)) == (5.0, 5.0)


def test_the_sweep_is_drawn_by_stage_with_its_front_and_without_other_stages():
    objective = {"distortion": "psnr_y", "perceptual": "swd"}
    measured = [("screen", 20, 5), ("screen", 22, 6), ("screen", 21, 9), ("confirm", 23, 8), ("warm", 30, 1)]
    rows = [{"objective": objective, "stage": s, "metrics": {"psnr_y": x, "swd": y}} for s, x, y in measured]
    drawn = _sweep_plane(rows).decode()
    assert drawn.count('<circle class="mark dot s0"') == 3 and drawn.count('<circle class="mark dot s1"') == 1
    assert ">screen</text>" in drawn and ">confirm</text>" in drawn and ">warm</text>" not in drawn
    assert re.search(r'class="front" d="([^"]*)"', drawn)[1].count("V") == 2
    assert ">confirm</text>" not in _sweep_plane(rows[:3]).decode()


def test_opposed_objectives_have_a_rank_correlation_of_minus_one_in_every_seed():
    by_alpha = {
        alpha: {"rmse_y": [[10 + alpha + 0.01 * s] for s in range(5)], "swd": [[5 - alpha] for _ in range(5)]}
        for alpha in (0.0, 0.5, 1.0)
    }
    verdict = _correlation(by_alpha, "swd", 30)
    assert (verdict.word, verdict.estimate) == ("beats", -1.0)
