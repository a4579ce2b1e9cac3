"""Baselines on pairs whose answer is known by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datasets.config import DataConfig
from orchestrator.studies import baselines

GREY = np.full((4, 4, 3), 100, np.uint8)
PAIRS = [SimpleNamespace(lr_image=GREY, hr=GREY)] * 2


def made(kind, scale, tmp_path):
    return baselines.BASELINES[kind](PAIRS, scale, DataConfig(), tmp_path)


@pytest.mark.parametrize("kind", ["bicubic", "nearest"])
def test_resizing_keeps_a_constant_image(kind, tmp_path):
    image = made(kind, 4, tmp_path)[1]
    assert image.shape == (16, 16, 3) and (image == 100).all()


def test_a_sharpened_enlargement_has_more_detail_and_the_same_mean(tmp_path):
    step = np.repeat(np.array([60, 180], np.uint8), 4)[None, :, None].repeat(8, 0).repeat(3, 2)
    pairs = [SimpleNamespace(lr_image=step, hr=None)]
    plain, masked = (
        baselines.BASELINES[kind](pairs, 2, DataConfig(), tmp_path)[0].astype(float)
        for kind in ("bicubic", "bicubic, sharpened")
    )
    assert masked.std() > 1.05 * plain.std() and masked.mean() == pytest.approx(plain.mean(), abs=1)


def test_a_public_network_for_x4_is_halved_for_x2(tmp_path, monkeypatch):
    same = torch.nn.Conv2d(3, 3, 1, bias=False)
    torch.nn.init.dirac_(same.weight)
    network = torch.nn.Sequential(same, torch.nn.Upsample(scale_factor=4)).eval()
    start = SimpleNamespace(generator=SimpleNamespace(scale=4), build=lambda: network)
    monkeypatch.setattr(baselines, "read_start", lambda name, folder: start)
    image = made(baselines.PUBLIC, 2, tmp_path)[0]
    assert image.shape == (8, 8, 3) and (image == 100).all()


def test_weights_that_are_missing_are_named_with_their_command(monkeypatch):
    monkeypatch.setattr(baselines, "missing", list)
    assert "upsweep weights realsr_df2k_x4" in baselines.lacking(baselines.PUBLIC)
    assert baselines.lacking("bicubic") == ""


def test_grey_is_the_input_itself(tmp_path):
    assert (made("grey", 1, tmp_path)[0] == GREY).all()


def test_a_tint_shifts_the_colour_and_keeps_the_luma(monkeypatch, tmp_path):
    reddish = np.tile(np.array([120, 60, 60], np.uint8), (4, 4, 1))
    monkeypatch.setattr(baselines, "mean_training_image", lambda data, work_dir: reddish)
    image = made("tint", 1, tmp_path)[0].astype(float)
    assert image[0, 0, 0] - image[0, 0, 1] == 60
    assert image[0, 0] @ (0.299, 0.587, 0.114) == pytest.approx(100, abs=1)
    assert all((image == reddish).all() for image in made("mean image", 1, tmp_path))
