"""The answer of the upsampler study at its smallest scale."""

import pytest
from helpers.studies import request, run_tiny, sets  # noqa: F401  (a fixture)

from orchestrator.studies.claims import MECHANICS, UNTESTED
from orchestrator.studies.kinds import upsampler, upsampler_results


def test_the_upsampler_study_explains_the_schedule(tmp_path, sets):
    asked = request(
        tmp_path, "upsampler_study", "miniature_upsampler", sets[:1], run__psnr_steps=0, run__gan_steps=2
    )
    answer = run_tiny(upsampler, asked, sensitivity=False)
    names = [row[0] for row in answer.tables[0].rows]
    assert "two transposed, VGG 15 (vgg19-random)" in names and names[-1] == "bicubic"
    assert "5+5+5 stage 3, moments kept (vgg19-random)" in names
    factors = [float(row[2]) for row in answer.tables[2].rows]
    assert factors[0] == 1 and factors[2] / factors[1] == pytest.approx(12.75**2, rel=0.01)
    found = {c.id: c for c in answer.claims}
    for name in ("staged-loss", "staged-worse", "interp-better", "vgg-blurred"):
        assert found[name].status == UNTESTED and found[name].why.startswith(MECHANICS)
    assert found["shuffle-bicubic"].status != UNTESTED, "an arm without VGG may stand"
    assert {"psnr.svg", "losses.svg", "strip.png"} == set(answer.figures)


def test_the_mean_curve_is_over_seeds_at_equal_steps():
    assert upsampler_results._mean([[(1, 1.0), (2, 3.0)], [(1, 2.0), (2, 5.0)]]) == [(1, 1.5), (2, 4.0)]
    assert upsampler_results._mean([]) == []
