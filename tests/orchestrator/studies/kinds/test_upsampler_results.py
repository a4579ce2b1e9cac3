"""The answer of the upsampler study at its smallest scale."""

import numpy as np
import pytest
from helpers.studies import request, run_tiny, sets  # noqa: F401  (a fixture)

from orchestrator.analysis.significance import NOT_ENOUGH
from orchestrator.studies.claims import MECHANICS, NOT_REPRODUCED, REPRODUCED, UNTESTED
from orchestrator.studies.kinds import upsampler, upsampler_results


def test_the_upsampler_study_explains_the_schedule(tmp_path, sets, monkeypatch):
    monkeypatch.setattr(upsampler, "PERCEPTUAL", ())
    asked = request(
        tmp_path, "upsampler_study", "miniature_upsampler", sets[:1], run__psnr_steps=0, run__gan_steps=2
    )
    answer = run_tiny(
        upsampler, asked, sensitivity=False, only=("pixel", "interp", "two transposed, VGG", "5")
    )
    names = [row[0] for row in answer.tables[0].rows]
    assert "two transposed, VGG 15 (vgg16-random)" in names and "5+5+5 stage 3 (vgg16-random)" in names
    assert names[-2:] == ["bicubic", "bicubic, sharpened"]
    units = answer.tables[2].rows
    assert [row[0] for row in units] == ["conv2_2", "conv3_3", "conv5_3"]
    for _, unit, scaled, _ in units:
        assert float(unit) / float(scaled) == pytest.approx(12.75**2, rel=0.1)
    found = {c.id: c for c in answer.claims}
    for name in ("staged-loss", "staged-worse", "interp-better", "vgg-blurred"):
        assert found[name].status == UNTESTED and found[name].why.startswith(MECHANICS)
    assert found["shuffle-bicubic"].status != UNTESTED, "an arm without VGG may stand"
    assert found["transposed-blurred"].why == "its arms were left out (--only)"
    assert {"psnr.svg", "losses.svg", "strip.png"} == set(answer.figures)


@pytest.mark.parametrize(
    ("factor", "status"), [(300.0, REPRODUCED), (30.0, NOT_REPRODUCED), (100.0, NOT_ENOUGH)]
)
def test_a_loss_grows_hundreds_of_times_by_its_unit(factor, status):
    """MSE 0.02 in stage 2; VGG's loss of that network, `factor` times it, falls by half in stage 3."""
    spread = np.array([0.9, 0.95, 1.0, 1.05, 1.1])
    losses = np.stack([np.full(5, 0.02), 0.02 * factor * spread, 0.01 * factor * spread], axis=1)
    answer = upsampler_results._growth(losses, "vgg16 conv2_2", "")
    assert answer.status == status and "training then multiplies it by 0.5" in answer.why


def test_the_mean_curve_is_over_seeds_at_equal_steps():
    assert upsampler_results._mean([[(1, 1.0), (2, 3.0)], [(1, 2.0), (2, 5.0)]]) == [(1, 1.5), (2, 4.0)]
    assert upsampler_results._mean([]) == []
