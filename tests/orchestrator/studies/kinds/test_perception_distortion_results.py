"""Regions, fronts and alphas of the perception-distortion plane."""

from orchestrator.studies.figures import Dot
from orchestrator.studies.kinds.perception_distortion_results import Alphas, _front, _opposed, _regions


def test_alpha_on_the_psnr_network_is_printed_the_other_way_round():
    assert [Alphas((), "gan").printed(a) for a in (0.0, 0.25)] == ["0", "0.25"]
    assert [Alphas((), "psnr").printed(a) for a in (0.0, 0.25)] == ["1", "0.75"]


def test_regions_name_their_best_point_and_points_beyond_them():
    dots = [Dot(10, 5, "a"), Dot(11, 4, "b"), Dot(12, 3, "c"), Dot(20, 1, "d")]
    table = _regions(dots)
    assert [row[2] for row in table.rows] == ["b", "c", "nothing lies here", ""]
    assert [row[4] for row in table.rows] == [2, 1, 0, 1]


def test_the_front_keeps_points_that_no_other_beats_in_both():
    dots = [Dot(10, 5, "a"), Dot(11, 6, "b"), Dot(12, 3, "c")]
    assert _front(dots) == [(10, 5), (12, 3)]


def test_opposed_objectives_have_a_rank_correlation_of_minus_one_in_every_seed():
    by_alpha = {
        alpha: {"rmse_y": [[10 + alpha + 0.01 * s] for s in range(5)], "swd": [[5 - alpha] for _ in range(5)]}
        for alpha in (0.0, 0.5, 1.0)
    }
    answer = _opposed(by_alpha, "swd", 30)
    assert answer.id == "plane" and answer.why.startswith("rank correlation along alpha: -1.00")
    assert answer.status == "reproduced"
