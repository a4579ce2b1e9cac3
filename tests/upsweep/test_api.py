"""`import upsweep`: what a notebook does, without a shell."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.fake_sweep import fake_sweep
from helpers.paths import ROOT

import upsweep
from datasets.errors import UserError
from orchestrator.sweep import run
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator


@pytest.fixture
def checkpoint_folder(tmp_path):
    torch.manual_seed(0)
    config = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4))
    saved = checkpoint.save_generator(tmp_path / "step-1", config, build_generator(config.generator), {})
    return str(saved)


def test_an_import_alone_loads_neither_torch_nor_ray():
    code = "import sys, upsweep; print(dir(upsweep), sorted({'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == f"{sorted(upsweep.__all__)} []"
    with pytest.raises(AttributeError, match="it has Model, Sweep, load"):
        upsweep.swep  # noqa: B018


def test_a_leaderboard_is_a_table_with_a_row_per_trial(tmp_path):
    fake_sweep(tmp_path / "demo")
    found = upsweep.Sweep("demo", str(tmp_path))
    table = found.leaderboard()
    assert len(table) > 14 and {"stage", "design", "metrics.psnr_y", "metrics.swd"} <= set(table.columns)
    assert table["trial_id"].is_unique and set(table["stage"]) == {"warm", "screen", "confirm", "test"}
    assert found.pick == found.facts.get("pick_design", "") and found.facts["name"] == "demo"
    assert list(table["trial_id"][table["ships"]]) == ["confirm-0-s1", "test-0-s1"]
    path = tmp_path / "demo" / "sweep.json"
    path.write_text(json.dumps(found.facts | {"pick": None}))
    assert not found.leaderboard()["ships"].any()
    assert found.report == tmp_path / "demo" / "report.html"
    with pytest.raises(UserError, match="sweep 'none' has no leaderboard"):
        upsweep.Sweep("none", str(tmp_path)).leaderboard()


def test_an_array_is_upscaled_as_the_network_computes_it_and_keeps_its_type(checkpoint_folder):
    model = upsweep.load(checkpoint_folder)
    pixels = np.random.default_rng(0).integers(256, size=(9, 13, 3), dtype=np.uint8)
    large = upsweep.upscale(model, pixels)
    with torch.inference_mode():
        exact = model.network(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0]
    expected = (exact.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert (
        repr(model)
        == f"Model(srresnet x4, {sum(p.numel() for p in model.network.parameters()):,} parameters)"
    )
    assert model.scale == 4 and large.dtype == np.uint8 and (large == expected).all()
    deep = upsweep.upscale(model, pixels.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16 and deep.shape == (36, 52, 3)
    assert upsweep.upscale(model, pixels[..., 0]).shape == (36, 52)


@pytest.mark.parametrize("wrong", [np.zeros((3, 9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_an_array_of_another_kind_is_refused_with_its_shape_and_type(checkpoint_folder, wrong):
    with pytest.raises(UserError, match=rf"got {wrong.dtype} of shape \({wrong.shape[0]}, 9, "):
        upsweep.upscale(upsweep.load(checkpoint_folder), wrong)


@pytest.fixture
def started(monkeypatch):
    """The request of the sweep that would run."""
    calls = []

    def note(request, space, **more):
        calls.append(SimpleNamespace(request=request, space=space.space, **more))

    monkeypatch.setattr(run, "run_sweep", note)
    return calls


def test_options_and_settings_are_those_of_the_command(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"data.crop_px": 48, "loss.tv_weight": 0.5}
    ended = upsweep.sweep(name="mine", storage=str(tmp_path), trials=3, local=True, settings=settings)
    assert ended == upsweep.Sweep("mine", str(tmp_path))
    (call,) = started
    assert (call.request.trials, call.request.local, call.resume) == (3, True, False)
    assert (call.request.config.data.crop_px, call.request.config.loss.tv_weight) == (48, 0.5)
    assert call.space.name == "demo"


def test_a_mistake_is_an_error_in_one_sentence(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no recipe 'dmo'"):
        upsweep.sweep(recipe="dmo")
    with pytest.raises(UserError, match="loss.adversarial_weight"):
        upsweep.sweep(settings={"loss.adversarial_weight": 0.2})  # an axis of the space
    with pytest.raises(UserError, match="no sweep 'none'"):
        upsweep.resume("none", storage=str(tmp_path))
    assert started == []
