"""What the test stage measures carries the same protocol as the rows of val."""

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.config import DataConfig
from orchestrator.sweep import held_out
from orchestrator.sweep.held_out import HeldOutImages, evaluate
from orchestrator.trial.inputs import open_role
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator


def test_degradation_and_images_of_the_test_role_are_part_of_the_protocol(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in "ab":
        pixels = rng.integers(256, size=(40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    photos = str(tmp_path / "photos")
    data = DataConfig(test=photos, val=photos, eval_images=1, crop_px=32, degradation="pil")
    config = TrainConfig(data=data, generator=GeneratorConfig(num_blocks=1, channels=4))
    torch.manual_seed(0)
    folder = checkpoint.save_generator(
        tmp_path / "runs/step-1", config, build_generator(config.generator), {}
    )
    digest = open_role(data, "test", tmp_path / "work").digest
    metrics = ("psnr_y", "lr_consistency")
    found = evaluate(str(folder), str(folder), HeldOutImages("test", digest, tmp_path / "work", metrics))
    assert (
        f"degradation=pil; images={digest}; scale=4; precision=fp32; n=2"
        in found["protocol"]["lr_consistency"]
    )
    assert found["summary"]["warm/psnr_y"] == found["summary"]["psnr_y"]
    assert len(found["keys"]) == len(found["per_image"]["psnr_y"]) == 2
    for name in ("warm", "bicubic"):  # on the same images, so that differences can be paired
        mean = sum(found["per_image"][f"{name}/psnr_y"]) / 2
        assert mean == pytest.approx(found["summary"][f"{name}/psnr_y"])
    assert found["cpu_hours"] > 0 and found["gpu_hours"] == 0
    network, _ = checkpoint.load_generator(folder)
    val = HeldOutImages("val", open_role(data, "val", tmp_path / "work").digest, tmp_path / "work", metrics)
    on_val = held_out._summary(network, config, val)
    assert on_val["psnr_y"] == found["per_image"]["psnr_y"][0], "on the first data.eval_images of val"
    with pytest.raises(RuntimeError, match="data.test holds other images on this node than on the driver's"):
        evaluate(str(folder), str(folder), HeldOutImages("test", "other", tmp_path / "work", metrics))
