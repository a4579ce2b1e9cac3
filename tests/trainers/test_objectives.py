"""Two objectives with signs: dominance, the Pareto front, and the feasible-first order."""

import pytest
from helpers.tiny import tiny

from trainers import weights
from trainers.config import ObjectiveConfig, override
from trainers.metrics import METRICS
from trainers.objectives import (
    GRID,
    Objectives,
    dominates,
    front,
    measured_metrics,
    order_feasible_first,
    running_front,
    second_opinion,
)


@pytest.mark.parametrize("distortion", METRICS)
@pytest.mark.parametrize("perceptual", ["swd", "ssim_y"])
def test_a_better_value_is_a_larger_coordinate_for_every_metric(distortion, perceptual):
    objectives = Objectives(distortion, perceptual, 1.0)
    better = {"max": 2.0, "min": 1.0}
    worse = {"max": 1.0, "min": 2.0}
    good, bad = (
        objectives.point({m: values[METRICS[m].direction] for m in (distortion, perceptual)})
        for values in (better, worse)
    )
    assert good[0] > bad[0] and good[1] > bad[1] and dominates(good, bad) and not dominates(bad, good)


def test_equal_points_do_not_dominate_and_both_stay_on_the_front():
    assert not dominates((1.0, 2.0), (1.0, 2.0)) and dominates((1.0, 2.0), (1.0, 1.0))
    assert front([(1.0, 1.0), (2.0, 0.0), (1.0, 1.0), (0.0, 0.5)]) == [0, 1, 2]


def test_feasible_points_come_first_by_perception_then_others_by_their_distance_to_the_floor():
    points = [(29.0, -1.0), (31.0, -5.0), (30.0, -4.0), (28.0, -0.5), (32.0, -4.0)]
    ordered = sorted(points, key=lambda p: order_feasible_first(p, 30.0))
    assert ordered == [(32.0, -4.0), (30.0, -4.0), (31.0, -5.0), (29.0, -1.0), (28.0, -0.5)]


def test_the_running_front_is_the_pareto_front_and_the_last_step():
    points = [(0, 30.0, 5.0), (1, 29.0, 4.0), (2, 28.5, 4.5), (3, 28.0, 3.0), (4, 27.0, 9.0)]
    curve = [{"step": s, "psnr_y": a, "swd": b} for s, a, b in points]
    assert running_front(curve, tiny().objective) == [0, 1, 3, 4]


def test_the_running_front_of_an_error_keeps_the_smaller_one():
    curve = [{"step": s, "rmse_y": a, "swd": b} for s, a, b in [(0, 8.0, 5.0), (1, 9.0, 6.0), (2, 7.0, 5.5)]]
    assert running_front(curve, tiny(objective__distortion="rmse_y").objective) == [0, 2]


def test_the_floor_is_delta_below_the_warm_start_whichever_way_the_metric_goes():
    assert Objectives("psnr_y", "swd", 1.5).floor({"psnr_y": 30.0}) == 28.5
    assert Objectives("rmse_y", "swd", 1.5).floor({"warm/rmse_y": 8.0}, prefix="warm/") == -9.5


def test_lr_consistency_that_is_lacking_makes_infeasible_by_that_distance():
    objectives, warm = Objectives("psnr_y", "swd", 1.5), {"psnr_y": 30.0}
    assert objectives.floor(warm, {"psnr_y": 29.0, "lr_consistency": 32.0}) == 28.5
    assert objectives.floor(warm, {"psnr_y": 29.0, "lr_consistency": 30.0}) == 31.0
    assert objectives.floor(warm, {"psnr_y": 20.0, "lr_consistency": 31.0}) == 28.5, "the larger distance"
    assert objectives.floor(warm, {"psnr_y": 29.0}) == 28.5, "pairs without a known degradation have none"


def test_a_pattern_of_the_upsampling_grid_makes_infeasible_by_1_db_per_limit_beyond_the_warm_start():
    objectives, warm = Objectives("psnr_y", "swd", 1.5), {"warm/psnr_y": 30.0, "warm/grid_detail": 0.02}
    floors = {
        g: objectives.floor(warm, {"psnr_y": 29.0, "grid_detail": g}, "warm/") for g in (0.06, 0.12, 0.32)
    }
    assert floors == pytest.approx({0.06: 28.5, 0.12: 30.0, 0.32: 34.0})
    both = {"psnr_y": 29.0, "grid_detail": 0.12, "lr_consistency": 30.0}
    assert objectives.floor(warm, both, "warm/") == 31.0, "the larger of both"
    assert objectives.floor({"psnr_y": 30.0}, {"psnr_y": 29.0, "grid_detail": 0.9}) == 28.5, "not measured"


def test_what_champions_demand_is_a_floor_beside_delta():
    objectives = Objectives("psnr_y", "swd", 1.5, least=29.0)
    assert objectives.floor({"psnr_y": 30.0}) == 29.0 and objectives.floor({"psnr_y": 31.0}) == 29.5
    assert objectives.order({"psnr_y": 28.8, "swd": 1.0}, {"psnr_y": 30.0})[0] is True


def test_what_the_floor_needs_is_measured_where_the_input_is_the_image_made_small():
    assert measured_metrics(tiny()) == ("psnr_y", "swd", "lr_consistency", "grid_detail")
    bands = {"data.bands": ("a", "b"), "generator.image_channels": 2, "discriminator.image_channels": 2}
    assert GRID in measured_metrics(override(tiny(objective__distortion="psnr"), bands))
    assert measured_metrics(tiny(data__input="grey")) == ("psnr_y", "swd")


@pytest.mark.parametrize(
    ("objective", "installed", "second"),
    [
        ("lpips_alex", {"dists", "lpips_alex", "lpips_vgg"}, "dists"),
        ("lpips_vgg", {"dists", "lpips_alex", "lpips_vgg"}, "lpips_alex"),
        ("dists", {"dists", "lpips_alex"}, "lpips_alex"),
        ("swd", {"lpips_alex"}, "lpips_alex"),
        ("swd", set(), ""),
        ("lpips_alex", {"lpips_alex"}, ""),
    ],
)
def test_the_second_opinion_shares_no_network_with_the_objective(objective, installed, second, monkeypatch):
    there = {name for metric in installed for name in weights.NEEDS[metric]}
    monkeypatch.setattr(weights, "missing", lambda names: [n for n in names if n not in there])
    assert second_opinion(tiny(objective__perceptual=objective)) == second


def test_images_without_red_green_and_blue_have_no_second_opinion(monkeypatch):
    monkeypatch.setattr(weights, "missing", lambda names: [])
    bands = {"data.bands": ("a", "b"), "generator.image_channels": 2, "discriminator.image_channels": 2}
    assert second_opinion(override(tiny(objective__distortion="psnr"), bands)) == ""


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


def test_feasible_first():
    keys = [order_feasible_first(p, 10.0) for p in [(10.0, 1.0), (11.0, 1.0), (9.9, 5.0), (9.0, 9.0)]]
    assert sorted(range(4), key=keys.__getitem__) == [1, 0, 2, 3]
