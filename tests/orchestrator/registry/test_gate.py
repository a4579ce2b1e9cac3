"""The gate passes a better model, refuses a worse one, and explains both with numbers."""

import numpy as np
import pytest

from datasets.config import DECIDABLE
from orchestrator.analysis.intervals import Interval
from orchestrator.registry import gate
from orchestrator.registry.gate import Thresholds, decide
from trainers.config import ObjectiveConfig
from trainers.evaluate import Evaluation
from trainers.metrics import METRICS

OBJECTIVE = ObjectiveConfig(distortion="psnr_y", perceptual="lpips_alex")
SET_OBJECTIVE = ObjectiveConfig(distortion="psnr_y", perceptual="swd")


def evaluation(psnr, lpips, n=40, protocol="8-bit", noise=0.0):
    jitter = np.random.default_rng(1).normal(0, noise, n) if noise else np.zeros(n)
    base = np.linspace(-2, 2, n)  # images differ a lot; only differences between models count
    per_image = {"psnr_y": list(psnr + base + jitter), "lpips_alex": list(lpips + 0.01 * base)}
    summary = {name: float(np.mean(values)) for name, values in per_image.items()}
    return Evaluation([f"k{i}" for i in range(n)], per_image, summary, {"psnr_y": protocol})


def judge(candidate, **references):
    named = {name.replace("_", " "): reference for name, reference in references.items()}
    return decide(candidate, named, OBJECTIVE, Thresholds(), {}, {})


def test_a_first_model_must_beat_bicubic_and_its_warm_start():
    bicubic, warm = evaluation(24, 0.5), evaluation(26, 0.4)
    assert judge(evaluation(25, 0.3), bicubic=bicubic, warm_start=warm).passed
    decision = judge(evaluation(25, 0.45), bicubic=bicubic, warm_start=warm)
    assert not decision.passed
    assert "lpips_alex +0.05" in decision.reason and "against warm start" in decision.reason


def of_same(champion, bicubic):
    """A champion whose objective is the candidate's, so that it limits the distortion too."""
    return {"bicubic": bicubic, "champion": champion, gate.ANCHORS[0].replace(" ", "_"): champion}


def test_a_challenger_may_lose_half_a_decibel_and_no_more():
    bicubic, champion = evaluation(22, 0.5), evaluation(26, 0.3)
    assert judge(evaluation(25.6, 0.2), **of_same(champion, bicubic)).passed
    decision = judge(evaluation(25.4, 0.2), **of_same(champion, bicubic))
    assert not decision.passed
    assert "psnr_y -0.6 [-0.6, -0.6] dB against champion of the same objective: fails" in decision.reason
    assert judge(evaluation(25.4, 0.2), bicubic=bicubic, champion=champion).passed, "of another delta"


def test_the_margin_is_anchored_to_the_first_champion_too():
    bicubic, champion, first = evaluation(22, 0.5), evaluation(25.6, 0.3), evaluation(26, 0.35)
    references = of_same(champion, bicubic) | {gate.ANCHORS[1].replace(" ", "_"): first}
    assert judge(evaluation(25.6, 0.2), **references).passed
    decision = judge(evaluation(25.2, 0.2), **references)
    assert "against first champion of the same objective: fails" in decision.reason


def test_a_loss_within_the_margin_on_average_but_uncertain_is_refused():
    champion, bicubic = evaluation(26, 0.3), evaluation(22, 0.5)
    assert not judge(evaluation(25.7, 0.2, noise=2.0), **of_same(champion, bicubic)).passed


def test_delta_below_the_warm_start_is_the_floor_and_bicubic_is_none():
    bicubic, warm = evaluation(24, 0.5), evaluation(26, 0.4)
    assert judge(evaluation(23.1, 0.1), bicubic=bicubic, warm_start=warm).passed
    decision = judge(evaluation(22.9, 0.1), bicubic=bicubic, warm_start=warm)
    assert decision.reason == "psnr_y -3.1 dB against warm start (may be at most 3 dB worse than warm start)"
    without = judge(evaluation(20.9, 0.1), bicubic=bicubic)
    said = "psnr_y -3.1 dB against bicubic (may be at most 3 dB worse than bicubic)"
    assert without.reason == said, "it takes the warm start's place"


def test_a_result_that_contradicts_its_input_is_refused():
    candidate = evaluation(25, 0.3)
    candidate.summary["lr_consistency"] = 31.9
    decision = judge(candidate, bicubic=evaluation(24, 0.5))
    assert decision.reason == (
        "LR consistency of 31.90 dB, the agreement of the result, made small again, with its input "
        "(at least 32 dB)"
    )


def test_a_pattern_of_the_upsampling_grid_beyond_the_warm_start_s_is_refused():
    candidate, references = evaluation(25, 0.3), {"bicubic": evaluation(24, 0.5)}
    candidate.summary["grid_detail"], references["bicubic"].summary["grid_detail"] = 0.074, 0.02
    assert judge(candidate, **references).reason == (
        "share of fine detail that repeats on the upsampling grid +0.054 against bicubic (at most +0.05)"
    )
    warm = evaluation(26, 0.4)
    warm.summary["grid_detail"] = 0.03
    assert judge(candidate, **references, warm_start=warm).passed


def test_an_equal_model_is_not_better():
    bicubic, champion = evaluation(24, 0.5), evaluation(26, 0.3)
    decision = judge(champion, bicubic=bicubic, champion=champion)
    assert "not shown to be better (lower is better; the whole interval must be below 0)" in decision.reason


def test_few_images_are_not_enough_evidence():
    decision = judge(evaluation(27, 0.1, n=29), bicubic=evaluation(24, 0.5, n=29))
    assert "29 gate images, at least 30 are needed" in decision.reason
    assert decision.checks[0].remedy.startswith("{promote} --gate FOLDER (30 or more images of your kind")
    assert decision.checks[0].remedy.endswith("or a sweep with 88 or more photographs")


def test_an_interval_over_few_images_decides_nothing():
    for lpips in (0.1, 0.9):
        checks = judge(
            evaluation(27, lpips, n=2), **of_same(evaluation(24, 0.5, n=2), evaluation(23, 0.6, n=2))
        )
        undecided = [check for check in checks.checks if check.passed is None]
        assert [check.name.split()[0] for check in undecided] == ["psnr_y", "lpips_alex"]
        assert all(check.sentence.endswith(": not decided: 2 images") for check in undecided)
        assert not checks.passed and not any(check.remedy for check in undecided)


def test_every_check_that_can_refuse_has_a_remedy():
    bicubic, champion = evaluation(22, 0.5), evaluation(26, 0.3)
    worse = judge(evaluation(15, 0.4), **of_same(champion, bicubic))
    assert [check.remedy for check in worse.checks if not check.passed] == [gate.ANOTHER_RUN] * 3
    unsure = judge(evaluation(25.7, 0.29, noise=2.0), **of_same(champion, bicubic))
    assert [check.remedy for check in unsure.checks if not check.passed] == [gate.MORE_IMAGES]
    assert gate._limited("slowdown", 5.0, 4.0).remedy == gate.FASTER


def test_the_reason_has_all_checks_of_a_promotion_and_the_failed_ones_of_a_refusal():
    bicubic = evaluation(24, 0.5)
    assert judge(evaluation(25, 0.3), bicubic=bicubic).reason.count("against bicubic") == 2
    assert judge(evaluation(25, 0.6), bicubic=bicubic).reason.count("against bicubic") == 1


def test_values_of_another_protocol_are_not_compared():
    with pytest.raises(ValueError, match="bicubic was measured by another protocol"):
        judge(evaluation(25, 0.3), bicubic=evaluation(24, 0.5, protocol="unrounded"))


def test_a_metric_of_the_whole_set_is_judged_by_its_difference():
    candidate, bicubic = evaluation(25, 0.3), evaluation(24, 0.5)
    for high, passed in ((-0.1, True), (0.1, False)):
        difference = {("swd", "bicubic"): Interval(-1.0, -2.0, high, 40)}
        decision = decide(candidate, {"bicubic": bicubic}, SET_OBJECTIVE, Thresholds(), difference, {})
        assert decision.passed == passed


def test_defects_share_no_name_with_a_metric():
    assert not set(gate.DEFECTS) & set(METRICS)
    assert all(hasattr(Thresholds(), name) for name in gate.DEFECTS)


def test_a_tint_and_a_slow_network_are_refused():
    candidate, references = evaluation(25, 0.3), {"bicubic": evaluation(24, 0.5)}
    limits = {"mean_tint": 2.0, "slowdown": 4.0}
    assert decide(candidate, references, OBJECTIVE, Thresholds(), {}, limits).passed
    for name, words in (
        ("mean_tint", "mean tint of 2.10 grey levels of 255 (at most 2)"),
        ("slowdown", "4.10 times the champion's time for an image (at most 4 times)"),
    ):
        decision = decide(
            candidate, references, OBJECTIVE, Thresholds(), {}, limits | {name: limits[name] + 0.1}
        )
        assert not decision.passed and decision.reason.startswith(words)


def test_against_the_champion_only_the_interval_s_lower_end_is_limited():
    check = gate._not_worse("psnr_y", "champion", Interval(-0.4, -0.45, -0.35, 31), Thresholds())
    assert check.passed and check.sentence.endswith("holds (the lower end may not be below -0.5 dB)")


def test_the_legend_says_what_a_difference_is_and_what_the_metrics_mean():
    said = gate.legend(OBJECTIVE)
    assert "this network minus the other one" in said and "interval at 99.75%" in said
    assert METRICS["lpips_alex"].meaning in said and METRICS["psnr_y"].meaning in said


def test_the_cut_of_a_small_set_knows_how_many_images_the_gate_needs():
    assert DECIDABLE == Thresholds().min_images
