"""The perception-distortion plane at its smallest scale, interpolation, and what is refused."""

import json
from types import SimpleNamespace

import pytest
import torch
from helpers.studies import request, sets  # noqa: F401  (a fixture)
from helpers.tiny import batch, tiny

from datasets.errors import UserError
from orchestrator.studies import run
from orchestrator.studies.kinds import perception_distortion
from trainers.inference.interpolation import interpolate
from trainers.metrics import METRICS
from trainers.models import build_generator

KIND, RECIPE = "perception_distortion", "miniature_plane"


def test_alpha_runs_from_one_network_to_the_other(tmp_path, sets, monkeypatch):  # noqa: F811
    monkeypatch.setattr(perception_distortion, "perceptual", lambda: "swd")
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
    assert [row[0] for row in answer.tables[0].rows] == ["0", "0.3333", "0.6667", "1"]
    assert {"plane.svg", "strip.png", "sweep.svg"} == set(answer.figures)
    assert b"checkpoints of the GAN phase" in answer.figures["plane.svg"]
    assert {c.id for c in answer.claims} == {"plane", "gan-perception", "interpolation"}
    assert {c.status for c in answer.claims} == {"not enough evidence"}, "one seed decides nothing"


def test_the_seeds_sense_of_alpha_is_the_other_way_round():
    assert [perception_distortion._sense(a, "gan") for a in (0.0, 0.25)] == [0.0, 0.25]
    assert [perception_distortion._sense(a, "psnr") for a in (0.0, 0.25)] == [1.0, 0.75]


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_interpolation_ends_at_the_two_networks_and_measures_batch_norm_anew(norm):
    config = tiny(generator__norm=norm).generator
    torch.manual_seed(0)
    psnr, gan = build_generator(config).eval(), build_generator(config).eval()
    inputs = [batch(i)[1] for i in range(2)]
    x = batch(9)[1]
    middle = interpolate(psnr, gan, 0.5, inputs)
    for name, weight in middle.named_parameters():
        wanted = (dict(psnr.named_parameters())[name] + dict(gan.named_parameters())[name]) / 2
        assert torch.allclose(weight, wanted, atol=1e-6)
    assert not middle.training
    if norm == "none":
        assert torch.equal(interpolate(psnr, gan, 0.0)(x), psnr(x))
        assert torch.equal(interpolate(psnr, gan, 1.0)(x), gan(x))
    else:
        means = [m.running_mean for m in middle.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert any(mean.abs().max() > 1e-4 for mean in means), (
            "statistics of the mixed network, not of neither"
        )


def test_other_architectures_and_alphas_beyond_the_ends_are_refused():
    one, two = (build_generator(tiny(generator__channels=c).generator) for c in (4, 8))
    with pytest.raises(UserError, match="only two networks of one architecture can be interpolated"):
        interpolate(one, two, 0.5)
    with pytest.raises(UserError, match=r"alpha must be in \[0, 1\], but got 1.5"):
        interpolate(one, one, 1.5)


def test_what_makes_no_plane_is_refused(tmp_path, sets):  # noqa: F811
    with pytest.raises(UserError, match="needs both phases: set run.psnr_steps and run.gan_steps above 0"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1], run__gan_steps=0), dry=True)
    with pytest.raises(UserError, match="--alphas must be at least 3"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, alphas=2)
    with pytest.raises(UserError, match="no sense of alpha 'gna'; did you mean|sense of alpha"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, alpha_on="gna")
    with pytest.raises(UserError, match="--sweep: no sweep with a leaderboard in"):
        perception_distortion.plan(request(tmp_path, KIND, RECIPE, sets[:1]), dry=True, sweep="none")


def test_without_niqe_swd_stands_in_and_says_so(monkeypatch):
    monkeypatch.setitem(METRICS, "niqe", SimpleNamespace(unavailable=lambda: "metric niqe is unavailable"))
    assert perception_distortion.perceptual() == "swd"


def test_regions_name_their_best_point_and_points_beyond_them():
    from orchestrator.studies.figures import Dot

    dots = [Dot(10, 5, "a"), Dot(11, 4, "b"), Dot(12, 3, "c"), Dot(20, 1, "d")]
    table = perception_distortion._regions(dots, [])
    assert [row[2] for row in table.rows] == ["b", "c", "nothing lies here", ""]
    assert [row[4] for row in table.rows] == [2, 1, 0, 1]
