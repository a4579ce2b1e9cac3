"""Every model is measured on the same gate images, and a gate image that training used is refused."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import degrade
from datasets.errors import UserError
from datasets.loader import Pair
from datasets.pixels import RGB8
from orchestrator.registry import gate_images
from orchestrator.registry.gate_images import GateImages, mean_tint
from orchestrator.results.image_strips import CELL_PX, LABEL_PX
from trainers.config import GeneratorConfig, ObjectiveConfig, TrainConfig

CONFIG = TrainConfig(
    generator=GeneratorConfig(num_blocks=1, channels=4), objective=ObjectiveConfig(perceptual="swd")
)


def pictures(count):
    """Smooth noise of 32 px with its input of 8 px."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, 3, 16, 16), generator=draw)
    hr = (torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear") * 255).to(torch.uint8)
    small = degrade.down(hr, 4)
    return [
        Pair(str(i), hr[i].permute(1, 2, 0).numpy(), small[i].permute(1, 2, 0).numpy()) for i in range(count)
    ]


@pytest.fixture
def opened(monkeypatch, tmp_path):
    def leak_free(train, gate):
        if train.digest == gate.digest:
            raise UserError("image 7 is in both train and gate")

    def make(count=8, gate_digest="gate", pairs_scale=0):
        digests = {"train": "train", "gate": gate_digest}
        monkeypatch.setattr(
            gate_images,
            "open_images",
            lambda spec, role, **_: SimpleNamespace(
                digest=digests[role], pairs_scale=pairs_scale, format=RGB8
            ),
        )
        monkeypatch.setattr(gate_images, "eval_pairs", lambda *_: pictures(count))
        monkeypatch.setattr(gate_images, "disjoint", leak_free)
        return GateImages(CONFIG, tmp_path, torch.device("cpu"))

    return make


def test_pairs_that_came_as_such_have_no_lr_consistency_and_are_decided_without_it(opened):
    gate = opened(pairs_scale=4)
    measured = gate.measure(bicubic_network()).evaluation
    assert gate.metrics == tuple(measured.summary) == ("psnr_y", "swd", "grid_detail")
    assert opened().metrics == ("psnr_y", "swd", "lr_consistency", "grid_detail")


def bicubic_network(shift=0.0):
    def network(lr_image):
        up = degrade.up((lr_image * 255).round().to(torch.uint8), 4)
        return up.float() / 255 + shift

    return network


def test_a_network_equal_to_bicubic_has_no_difference(opened):
    gate = opened()
    bicubic, same = gate.measure_bicubic(), gate.measure(bicubic_network())
    assert same.evaluation.summary == bicubic.evaluation.summary
    found = gate.set_differences(same, {"bicubic": bicubic})["swd", "bicubic"]
    assert (found.estimate, found.low, found.high, found.n) == (0, 0, 0, 8)
    assert gate.defects(same, None)["mean_tint"] < 1
    assert gate.defects(same, same)["slowdown"] == 1


def test_a_long_measurement_of_time_is_not_repeated(opened, monkeypatch):
    monkeypatch.setattr(gate_images, "ENOUGH_S", 0.0)
    parts = []
    assert opened().measure(bicubic_network(), 3, lambda *part: parts.append(part)).seconds > 0
    assert parts == [(0, 4), (3, 4)]


def test_each_part_of_a_measurement_is_reported_and_only_a_time_that_counts_takes_three_runs(opened):
    parts = []
    opened().measure(bicubic_network(), 3, lambda *part: parts.append(part))
    assert parts == [(0, 4), (1, 4), (2, 4), (3, 4)]
    opened().measure(bicubic_network(), progress=lambda *part: parts.append(part))
    assert parts[4:] == [(0, 2), (1, 2)]


def test_a_tinted_network_is_worse_and_its_tint_is_measured_in_grey_levels(opened):
    gate = opened()
    clean, tinted = gate.measure(bicubic_network()), gate.measure(bicubic_network(10 / 255))
    assert tinted.evaluation.summary["psnr_y"] < clean.evaluation.summary["psnr_y"]
    defects = gate.defects(tinted, clean)
    assert defects["mean_tint"] - gate.defects(clean, None)["mean_tint"] == pytest.approx(10, abs=1.5)


def test_three_levels_of_red_are_a_tint_of_three_and_noise_is_none():
    draw = np.random.default_rng(0)
    real = [draw.integers(40, 200, (48, 65, 3), dtype=np.uint8) for _ in range(6)]
    assert mean_tint(real, real) == 0
    assert mean_tint([image + np.array([3, 0, 0], np.uint8) for image in real], real) == pytest.approx(3)
    noisy = [(image + draw.normal(0, 8, image.shape)).round().astype(np.uint8) for image in real]
    assert mean_tint(noisy, real) < 0.3


def test_the_interval_of_a_set_level_metric_is_known(opened):
    gate = opened()
    tinted, bicubic = gate.measure(bicubic_network(10 / 255)), gate.measure_bicubic()
    interval = gate.set_differences(tinted, {"bicubic": bicubic})["swd", "bicubic"]
    assert (interval.estimate, interval.low, interval.high) == pytest.approx(
        (52.70682, 38.05468, 67.35896), rel=1e-5
    )


def test_three_images_give_no_limits(opened):
    gate = opened(count=3)
    found = gate.set_differences(gate.measure(bicubic_network()), {"bicubic": gate.measure_bicubic()})
    assert found["swd", "bicubic"].low == -np.inf


def test_best_median_and_worst_gain_over_bicubic_are_drawn(opened):
    gate = opened()
    drawn = gate.pictures(gate.measure(bicubic_network(5 / 255)), gate.measure_bicubic())
    assert [caption.split()[0] for caption in drawn["captions"]] == ["best", "median", "worst"]
    width, height = Image.open(io.BytesIO(drawn["png"])).size
    assert (width, height) == (4 * CELL_PX, LABEL_PX + 3 * (CELL_PX + 2)) and gate.sides() == (32, 32)


def test_a_leaking_gate_set_is_refused_before_anything_is_measured(opened):
    with pytest.raises(UserError, match="image 7 is in both"):
        opened(gate_digest="train")
