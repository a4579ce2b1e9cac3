"""What the test stage measures carries the same protocol as the rows of val."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from datasets.config import DataConfig
from orchestrator.sweep import held_out
from orchestrator.sweep.held_out import HeldOutImages, evaluate
from orchestrator.trial.inputs import open_role
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator
from trainers.objectives import Objectives


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
    found = evaluate(
        str(folder), {"warm": str(folder)}, HeldOutImages("test", digest, tmp_path / "work", metrics)
    )
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
        evaluate(str(folder), {}, HeldOutImages("test", "other", tmp_path / "work", metrics))


def test_a_network_is_compared_with_its_warm_start_sharpened_and_with_noise(tmp_path):
    """The network is its own warm start: an unsharp mask of a blurred photograph is nearer to it."""
    rng = np.random.default_rng(0)
    for role in ("val", "test"):
        (tmp_path / role).mkdir()
        for k in range(4):
            pixels = gaussian_filter(rng.integers(256, size=(64, 64, 3)), (1.5, 1.5, 0)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / role / f"{role}{k}.png")
    data = DataConfig(test=str(tmp_path / "test"), val=str(tmp_path / "val"), crop_px=32)
    config = TrainConfig(
        data=data, generator=GeneratorConfig(num_blocks=1, channels=4, global_skip="bicubic", norm="none")
    )
    network = build_generator(config.generator)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(0.01)  # bicubic, and hardly anything more
    folder = str(checkpoint.save_generator(tmp_path / "runs/step-1", config, network, {}))
    digest = open_role(data, "test", tmp_path / "work").digest
    objectives = Objectives("psnr_y", "rmse_y", 1.0)
    metrics = ("psnr_y", "rmse_y", "grid_detail")
    asked = {"objectives": objectives, "second_opinion": "sharpness_gap"}
    images = HeldOutImages("test", digest, tmp_path / "work", metrics, **asked)
    found = evaluate(folder, {"warm": folder, "longer": folder}, images)
    same = {"metric": "sharpness_gap", "interval": [0.0, 0.0, 0.0], "beaten": False}
    assert found["second_opinion"] == {"warm": same, "longer": same}
    assert "longer/sharpness_gap" in found["summary"] and "sharpness_gap" in found["protocol"]
    assert "noisy/sharpness_gap" not in found["summary"], "edits have no second opinion"
    assert set(found["sentinels"]) == {"sharpened", "noisy", "longer", "grid"}
    assert found["sentinels"]["grid"]["beaten"], "no pattern beyond the warm start's own"
    sharpened, noisy, longer = (found["sentinels"][n] for n in ("sharpened", "noisy", "longer"))
    assert (
        not sharpened["beaten"]
        and sharpened["interval"][0] > 0
        and sharpened["strength"] in (0.25, 0.5, 1, 2)
    )
    assert noisy["beaten"] and noisy["strength"] == 1.0, "noise betters no distance of pixels"
    assert longer["interval"] == [0.0, 0.0, 0.0] and not longer["beaten"], "equal is not better"
    patterned, plain = [0.30, 0.25, 0.28, 0.40], [0.02, 0.03, 0.02, 0.04]
    assert not held_out._grid(patterned, plain)["beaten"] and held_out._grid(plain, patterned)["beaten"]
    assert "sharpened/psnr_y" in found["summary"] and len(found["per_image"]["noisy/rmse_y"]) == 4
