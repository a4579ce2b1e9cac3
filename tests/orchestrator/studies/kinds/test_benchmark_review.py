"""The two documents that are one table: rows at the smallest scale, SSIM both ways, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.studies import TINY, pictures, request, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from experiments import recipes
from experiments.recipes import review
from orchestrator.studies import evaluation, extra_metrics
from orchestrator.studies import run as session
from orchestrator.studies.kinds import benchmark_review
from orchestrator.studies.spec import TestSet, Training
from trainers.config import override


def table(tmp_path, sets, kind, tests=()):  # noqa: F811
    asked = request(tmp_path, kind, "miniature_review", sets[:1], run__gan_steps=0, data__eval_crop_px=0)
    arms = review.of(kind, asked.config, True)
    short = {"run.gan_steps": 1, "run.psnr_steps": 1}
    for name, arm in arms.items():
        run = {k: v for k, v in short.items() if flat(arm)[k]}
        arms[name] = benchmark_review.Arm(override(arm.config, run), arm.after)
    study = benchmark_review.plan(asked, arms=arms, tests=tests or (sets[1],))
    return session.run_study(study, asked, benchmark_review.BASELINES, say=lambda text: None)


def flat(arm):
    run = arm.config.run
    return {"run.gan_steps": run.gan_steps, "run.psnr_steps": run.psnr_steps}


def test_the_review_compares_srresnet_with_every_other_row(tmp_path, sets):  # noqa: F811
    answer = table(tmp_path, sets, "srgan_review")
    assert [row[0] for row in answer.tables[0].rows] == [
        "nearest",
        "bicubic",
        "SRCNN",
        "SRResNet-MSE",
        "SRGAN-MSE",
    ]
    found = {c.id: c for c in answer.claims}
    assert set(found) == {"review-psnr", "review-srcnn"}
    assert "SRGAN-MSE" in found["review-psnr"].why and "SRGAN-MSE" not in found["review-srcnn"].why


def test_a_table_trains_on_photographs_of_any_number(tmp_path, sets):  # noqa: F811
    few = pictures(tmp_path / "few", 0, 13)
    answer = table(tmp_path, [f"few={few}"], "srcnn_vs_esrgan", tests=(sets[1],))
    assert answer.tables[0].rows[2][0] == "SRCNN"


def test_only_the_first_images_are_measured_and_the_protocol_says_so(tmp_path, sets):  # noqa: F811
    data = override(recipes.build("miniature_review"), TINY).data
    test = TestSet("warm", replace(data, test=sets[0].split("=")[1]), 3)
    _, pairs = evaluation.open_evaluator(test, 4, ("psnr_y",), tmp_path)
    every, all_pairs = evaluation.open_evaluator(replace(test, first=0), 4, ("psnr_y",), tmp_path)
    assert [p.key for p in pairs] == sorted(p.key for p in all_pairs)[:3] and len(all_pairs) == 40


def test_the_comparison_shows_its_second_table_both_ways(tmp_path, sets):  # noqa: F811
    answer = table(tmp_path, sets, "srcnn_vs_esrgan")
    both = answer.tables[1]
    assert both.columns == ["model", "as it is", "misread"] and [r[0] for r in both.rows][-1] == "bicubic"
    assert {c.id for c in answer.claims} == {"srcnn-table1", "srcnn-table2"}


def test_rows_read_as_channels_raise_ssim_of_the_same_images():
    rng = np.random.default_rng(0)
    low = rng.integers(60, 200, size=(8, 8, 3))
    real = np.kron(low, np.ones((8, 8, 1))).astype(np.uint8)
    made = np.clip(real + rng.normal(0, 12, real.shape), 0, 255).astype(np.uint8)
    assert extra_metrics.ssim_rgb(real, real) == pytest.approx(1, abs=1e-4)
    assert extra_metrics.ssim_misread(real, real) == pytest.approx(1, abs=1e-4)
    assert extra_metrics.ssim_misread(made, real) > extra_metrics.ssim_rgb(made, real) + 0.05


def test_ssim_equals_an_independent_one_away_from_the_border():
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(1)
    real = rng.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    made = np.clip(real.astype(int) + rng.integers(-20, 21, real.shape), 0, 255).astype(np.uint8)
    other = structural_similarity(
        made / 255,
        real / 255,
        channel_axis=2,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert extra_metrics.ssim_rgb(made, real) == pytest.approx(other, abs=0.01)


def test_two_scales_never_meet_in_one_table(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, "srgan_review", "miniature_review", sets[:1], data__eval_crop_px=0)
    four = asked.config
    arms = {
        "a": benchmark_review.Arm(four),
        "b": benchmark_review.Arm(override(four, {"generator.scale": 2})),
    }
    with pytest.raises(UserError, match=r"one table holds one scale, but its arms have \[2, 4\]"):
        benchmark_review.plan(asked, dry=True, arms=arms)


def test_names_become_folders():
    from trainers.config import TrainConfig

    assert Training("SRGAN-VGG54, lr 1e-4", 3, TrainConfig(), (), ()).name == "srgan-vgg54-lr-1e-4-s3"
