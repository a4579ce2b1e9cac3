"""The plan of the perception-distortion plane, run at its smallest scale, and its refusals."""

import json

import pytest
from helpers.studies import request, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from orchestrator.studies import run
from orchestrator.studies.kinds import perception_distortion

KIND, RECIPE = "perception_distortion", "miniature_plane"


def test_alpha_runs_from_one_network_to_the_other(tmp_path, sets, monkeypatch):
    monkeypatch.setattr(perception_distortion, "installed", lambda *names: ("swd",) * ("swd" in names))
    sweep = tmp_path / "runs" / "mine"
    sweep.mkdir(parents=True)
    row = {"stage": "screen", "diverged": 0, "metrics": {"psnr_y": 30.0, "swd": 90.0}}
    (sweep / "leaderboard.json").write_text(
        json.dumps([row, row | {"metrics": {"psnr_y": 29.0, "swd": 80.0}}])
    )
    (sweep / "sweep.json").write_text(
        json.dumps({"objective": {"distortion": "psnr_y", "perceptual": "swd"}})
    )
    test = sets[1].replace("=", "-set=")
    asked = request(tmp_path, KIND, RECIPE, sets[:1], data__eval_crop_px=0)
    study = perception_distortion.plan(asked, test=test, alphas=4, sweep="mine", test_crop_px=32)
    answer = run.run_study(study, asked, perception_distortion.BASELINES, say=lambda text: None)
    rows = ["0", "0.3333", "0.6667", "1", "bicubic", "bicubic, sharpened"]
    assert [row[0] for row in answer.tables[0].rows] == rows
    assert {"plane.svg", "strip.png", "sweep.svg"} == set(answer.figures)
    assert b"checkpoints of the GAN phase" in answer.figures["plane.svg"]
    assert {c.id for c in answer.claims} == {"plane", "gan-perception", "interpolation"}
    assert {c.status for c in answer.claims} == {"not enough evidence"}, "one seed decides nothing"


def test_a_plane_without_both_phases_or_enough_alphas_is_refused(tmp_path, sets):
    with pytest.raises(UserError, match="needs both phases: set run.psnr_steps and run.gan_steps above 0"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1], run__gan_steps=0), dry=True)
    with pytest.raises(UserError, match="--alphas must be at least 3"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, alphas=2)
    with pytest.raises(UserError, match="no sense of alpha 'gna'; did you mean|sense of alpha"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, alpha_on="gna")
    with pytest.raises(UserError, match="--sweep: no sweep with a leaderboard in"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, sweep="none")


@pytest.mark.parametrize(
    ("missing", "decides", "measured"),
    [
        ((), "lpips_alex", ("lpips_alex", "niqe")),
        (("lpips_alex",), "niqe", ("niqe",)),
        (("lpips_alex", "niqe"), "swd", ("swd",)),
    ],
)
def test_perception_is_the_first_measure_that_is_installed(
    tmp_path, sets, monkeypatch, missing, decides, measured
):
    monkeypatch.setattr(
        perception_distortion, "installed", lambda *names: tuple(m for m in names if m not in missing)
    )
    study = perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True)
    assert study.trainings[0].metrics == ("rmse_y", "psnr_y", *measured)
    assert study.conditions[-1].startswith(f"perception is {decides}, of lpips_alex, niqe, swd the first")
