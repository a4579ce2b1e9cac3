"""Values, cells, pictures and verdicts of a study's arms."""

from pathlib import Path

import pytest
from helpers.studies import finished

from datasets.errors import UserError
from orchestrator.studies.results import StudyResults, direction, format_value


def test_values_of_two_protocols_are_not_compared(tmp_path):
    done = [finished("a", 0, [1.0, 2.0]), finished("b", 0, [1.0, 2.0], "q")]
    results = StudyResults(done, {}, tmp_path, tmp_path)
    with pytest.raises(UserError, match="psnr_y of 'a' and 'b' was measured in two ways that do not compare"):
        results.compare("a", "b", "x", "psnr_y")


def results(*done):
    bicubic = {"x": {"summary": {"psnr_y": 25.0}, "per_image": {"psnr_y": [24.0, 26.0]}}}
    bicubic["x"] |= {"keys": ["0", "1"], "protocol": {"psnr_y": "p"}}
    return StudyResults(done, {"bicubic": bicubic}, Path("study"), Path("work"))


def test_a_cell_is_the_mean_over_seeds_and_half_the_range():
    two = results(finished("a", 0, [29.0, 31.0]), finished("a", 1, [31.0, 33.0]))
    assert two.mean("a", "x", "psnr_y") == 31.0
    assert two.cells("a", "x", ["psnr_y"]) == ["31.00 ± 1.00"]
    assert two.cells("bicubic", "x", ["psnr_y"]) == ["25.00"]
    assert two.protocols("x", ["psnr_y"]) == ["psnr_y: p"]


def test_diverged_trainings_are_listed_and_left_out():
    one = results(finished("a", 0, [30.0, 30.0]), finished("a", 1, [], diverged="diverged at step 3"))
    assert one.diverged() == ["a-s1: diverged at step 3"] and len(one.of("a")) == 1 and one.arms == ["a"]
    none = results(finished("a", 0, [], diverged="diverged at step 3"))
    with pytest.raises(UserError, match="every training of arm 'a' diverged; lower optim.lr_g or optim.lr_d"):
        none.mean("a", "x", "psnr_y")


def test_a_baseline_has_the_seeds_of_the_arm_it_is_compared_with():
    five = results(*(finished("a", s, [29.0 + 0.01 * s, 31.0]) for s in range(5)))
    comparison = five.compare("a", "bicubic", "x", "psnr_y")
    assert comparison.interval.estimate == pytest.approx(5.01) and comparison.seeds == 5


def test_too_few_images_decide_nothing_and_several_rivals_are_corrected():
    def arm(name, level):
        return [finished(name, s, [level + 0.01 * s + 0.001 * i for i in range(40)]) for s in range(5)]

    many = results(*arm("a", 31.0), *arm("b", 30.0), *arm("c", 31.0))
    words = {b: v.word for b, v in many.verdicts("a", ["b", "c"], "x", "psnr_y").items()}
    assert words == {"b": "beats", "c": "not separable"}
    few = results(finished("a", 0, [31.0, 31.0]), finished("b", 0, [30.0, 30.0]))
    assert few.verdict("a", "b", "x", "psnr_y").word == "not enough evidence"


def test_arms_are_paired_by_seed_unless_a_training_diverged():
    def arm(name, gain):
        images = range(40)
        return [finished(name, s, [30.0 + s + gain + 0.001 * i for i in images]) for s in range(5)]

    lucky_alike = results(*arm("a", 0.5), *arm("b", 0.0))
    verdict = lucky_alike.verdict("a", "b", "x", "psnr_y")
    assert verdict.word == "beats" and verdict.interval.low == pytest.approx(0.5, abs=0.01)
    one_less = results(*arm("a", 0.5)[1:], *arm("b", 0.0))
    assert one_less.verdict("a", "b", "x", "psnr_y").word != "beats"


def test_pictures_are_those_of_the_study_or_of_a_training():
    done = finished("a", 0, [1.0, 2.0])
    paths = results(done).pictures("x", 3, ["input", "mean image", done])
    assert [str(p) for p in paths] == [
        "study/pictures/x-input-3.png",
        "study/pictures/x-mean image-3.png",
        "a-s0/pictures/x-3.png",
    ]


def test_curves_put_both_phases_on_one_axis():
    log = [
        {"phase": "psnr", "step": 2, "val": {"psnr_y": 20.0}},
        {"phase": "gan", "step": 1, "val": {"psnr_y": 21.0}},
        {"phase": "gan", "step": 1, "log": {"pixel": 0.5}},
    ]
    done = finished("a", 0, [1.0], log=log)
    start = done.training.config.run.psnr_steps
    assert done.curve("psnr_y") == [(2, 20.0), (start + 1, 21.0)] and done.losses("pixel") == [(1, 0.5)]


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("psnr_y", "1.23"),
        ("ssim_y", "1.2346"),
        ("swd", "1.2"),
        ("kid", "1.23456"),
        ("chroma_centre", "1.23"),
    ],
)
def test_values_have_the_decimals_of_their_metric(metric, text):
    assert format_value(metric, 1.23456) == text


def test_directions_of_own_and_shared_metrics():
    assert (direction("psnr_y"), direction("swd"), direction("chroma_error")) == ("max", "min", "min")
