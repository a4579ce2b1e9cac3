"""The two documents that are one table: rows at the smallest scale, SSIM both ways, and refusals."""

from dataclasses import replace

import pytest
from helpers.studies import pictures, request, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from experiments.recipes import review
from orchestrator.analysis.significance import NOT_ENOUGH
from orchestrator.studies import baselines, run
from orchestrator.studies.claims import UNTESTED
from orchestrator.studies.kinds import STUDIES, benchmark_review
from trainers.config import override


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Nothing that needs weights, and test images of 32 px."""
    for place in ("trainers.weights.missing", "orchestrator.studies.baselines.missing"):
        monkeypatch.setattr(place, list)  # all that are asked for
    monkeypatch.setattr(benchmark_review, "PERCEPTUAL", ())
    monkeypatch.setattr(benchmark_review, "MINIATURE_TEST", (32, 0))


def run_table(tmp_path, sets, kind, tests=(), without=()):
    asked = request(tmp_path, kind, "miniature_review", sets[:1], run__gan_steps=0, data__eval_crop_px=0)
    arms = {n: a for n, a in review.arms(kind, asked.config, True).items() if n not in without}
    for name, arm in arms.items():
        lengths = {"run.gan_steps": arm.config.run.gan_steps, "run.psnr_steps": arm.config.run.psnr_steps}
        one_step = {k: 1 for k, steps in lengths.items() if steps}
        arms[name] = replace(arm, config=override(arm.config, one_step))
    study = benchmark_review.plan(asked, arms=arms, tests=tests or (sets[1],))
    return run.run_study(study, asked, STUDIES[kind].baselines, say=lambda text: None)


def test_the_review_compares_srresnet_with_every_other_row(tmp_path, sets):
    answer = run_table(tmp_path, sets, "srgan_review")
    assert [row[0] for row in answer.tables[0].rows] == [
        "nearest",
        "bicubic",
        "SRCNN",
        "SRResNet-MSE",
        "SRResNet-MSE, sharpened",
        "SRGAN-MSE",
    ]
    found = {c.id: c for c in answer.claims}
    assert set(found) == {"review-psnr", "review-srcnn", "review-vgg"}
    assert "sharpened" not in found["review-psnr"].why and found["review-vgg"].status == UNTESTED
    assert "SRGAN-MSE" in found["review-psnr"].why and "SRGAN-MSE" not in found["review-srcnn"].why


def test_a_table_trains_on_photographs_of_any_number(tmp_path, sets):
    few = pictures(tmp_path / "few", 0, 13)
    answer = run_table(tmp_path, [f"few={few}"], "srcnn_vs_esrgan", tests=(sets[1],))
    assert [row[0] for row in answer.tables[0].rows][2:4] == ["SRCNN", "SRCNN, sharpened"]


def test_the_comparison_shows_its_second_table_both_ways(tmp_path, sets):
    answer = run_table(tmp_path, sets, "srcnn_vs_esrgan")
    both = answer.tables[1]
    assert both.columns == ["model", "as it is", "misread"] and [r[0] for r in both.rows][-1] == "bicubic"
    found = {c.id: c for c in answer.claims}
    assert set(found) == {"srcnn-table1", "srcnn-table2", "srcnn-pretrained", "srcnn-figures"}
    assert "upsweep weights realsr_df2k_x4" in found["srcnn-pretrained"].why


def test_a_public_network_is_a_row_and_is_judged_against_srcnn(tmp_path, sets, monkeypatch):
    monkeypatch.setattr(baselines, "missing", lambda names: [])
    monkeypatch.setitem(baselines.BASELINES, baselines.PUBLIC, baselines.BASELINES["bicubic"])
    answer = run_table(tmp_path, sets, "srcnn_vs_esrgan")
    rows = {row[0]: row[1:] for row in answer.tables[0].rows}
    assert rows["RealSR-DF2K"] == rows["bicubic"]
    found = {c.id: c for c in answer.claims}
    assert found["srcnn-table2"].why.startswith("RealSR-DF2K has SSIM ")
    assert found["srcnn-pretrained"].status == NOT_ENOUGH, "one seed"


def test_without_esrgan_the_public_network_is_still_compared_with_srcnn(tmp_path, sets, monkeypatch):
    monkeypatch.setattr(baselines, "missing", lambda names: [])
    monkeypatch.setitem(baselines.BASELINES, baselines.PUBLIC, baselines.BASELINES["bicubic"])
    answer = run_table(tmp_path, sets, "srcnn_vs_esrgan", without=("ESRGAN",))
    found = {c.id: c for c in answer.claims}
    assert found["srcnn-table1"].why == "ESRGAN was left out (--only)"
    assert "minus SRCNN on cold" in found["srcnn-table2"].why


def test_arms_of_two_scales_are_refused(tmp_path, sets):
    asked = request(tmp_path, "srgan_review", "miniature_review", sets[:1], data__eval_crop_px=0)
    four = asked.config
    arms = {
        "a": benchmark_review.Arm(four),
        "b": benchmark_review.Arm(override(four, {"generator.scale": 2})),
    }
    with pytest.raises(UserError, match=r"one table holds one scale, but its arms have \[2, 4\]"):
        benchmark_review.plan(asked, dry=True, arms=arms)
