"""Test sets are read as they are published."""

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.errors import UserError
from trainers.benchmarks.sets import open_test_set
from trainers.evaluate import Evaluator


def _save(path, height, width, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_shipped_pairs_are_used_as_they_are(tmp_path):
    _save(tmp_path / "Set/x4/HR/a.png", 32, 24)
    _save(tmp_path / "Set/x4/LR/a.png", 8, 6)
    found = open_test_set(str(tmp_path / "Set"), 4, "matlab", tmp_path)
    assert (found.name, found.degradation) == ("Set", "shipped")
    assert found.pairs[0].lr_image.shape == (8, 6, 3)
    with pytest.raises(UserError, match="ships pairs for x4, not for x3; name a folder of photographs"):
        open_test_set(str(tmp_path / "Set"), 3, "matlab", tmp_path)


def test_photographs_are_cropped_and_degraded_and_grey_stays_grey(tmp_path):
    _save(tmp_path / "p/a.png", 33, 26)
    _save(tmp_path / "p/b.png", 32, 24, "L")
    found = open_test_set(f"mine={tmp_path / 'p'}", 4, "pil", tmp_path)
    assert (found.name, found.degradation) == ("mine", "pil")
    assert [p.hr.shape for p in found.pairs] == [(32, 24, 3), (32, 24)]
    assert [p.lr_image.shape for p in found.pairs] == [(8, 6, 3), (8, 6)]
    evaluator = Evaluator(found.pairs, ["psnr_y", "lr_consistency"], scale=4, protocol={"degradation": "pil"})
    bicubic = evaluator.measure_resizer("bicubic")
    network = evaluator.measure(lambda x: torch.nn.functional.interpolate(x, scale_factor=4))
    assert np.isfinite(bicubic.per_image["psnr_y"]).all()
    assert network.per_image["psnr_y"] == evaluator.measure_resizer("nearest").per_image["psnr_y"]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no picture in"):
        open_test_set(str(tmp_path), 4, "matlab", tmp_path)
