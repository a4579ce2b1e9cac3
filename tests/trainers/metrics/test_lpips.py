"""LPIPS computes the paper's formula; its published weights are not needed to show it."""

import numpy as np
import pytest
import torch
from helpers.weights import forget, publish_random
from torch import nn

from datasets.errors import UserError
from trainers.metrics import lpips
from trainers.metrics.image_view import View, Views
from trainers.weights import WEIGHTS


def _image(seed, side=64):
    return np.random.default_rng(seed).integers(256, size=(side, side, 3), dtype=np.uint8)


@pytest.fixture
def random_weights(tmp_path, monkeypatch):
    """A folder with seeded random files under the published names, and their hashes in the table."""
    publish_random(monkeypatch, tmp_path, "lpips_alex")
    yield tmp_path
    forget()


def test_lpips_reads_its_files_and_is_a_distance(random_weights):
    a, b, c = (Views([View(_image(s))]) for s in (1, 1, 2))
    assert lpips.lpips_alex(a, b) == [0.0]
    assert lpips.lpips_alex(a, c) == pytest.approx(lpips.lpips_alex(c, a)) and lpips.lpips_alex(a, c)[0] > 0


def test_lpips_of_one_linear_layer_is_the_formula():
    """An identity layer leaves the pixels: the mean squared difference of unit colours is left."""
    network = lpips.Lpips(nn.Sequential(nn.Identity()), (0,), [torch.ones(1, 3, 1, 1)])
    a, b = torch.rand(2, 1, 3, 5, 7) * 2 - 1
    unit = [nn.functional.normalize((x - network.shift) / network.scale, dim=1) for x in (a, b)]
    expected = ((unit[0] - unit[1]) ** 2).sum(1).mean()
    assert float(network(a, b)) == pytest.approx(float(expected), rel=1e-5)


def test_a_damaged_file_is_refused(random_weights):
    (random_weights / WEIGHTS["lpips_alex_heads"].file).write_bytes(b"cut")
    with pytest.raises(UserError, match="lpips-v0.1-alex.pth is damaged"):
        lpips.lpips_alex(Views([View(_image(1))]), Views([View(_image(2))]))


def test_a_loss_over_features_that_are_all_zero_has_a_finite_gradient():
    network = lpips.Lpips(nn.Sequential(nn.ReLU()), (0,), [torch.ones(1, 3, 1, 1)])
    black = torch.full((1, 3, 4, 4), -1.0, requires_grad=True)
    network(black, torch.rand(1, 3, 4, 4)).mean().backward()
    assert black.grad.isfinite().all()


def test_a_network_read_for_a_measurement_can_be_trained_against(random_weights):
    with torch.inference_mode():
        network = lpips.load_lpips("lpips_alex", torch.device("cpu"))
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    network(image, torch.rand(1, 3, 64, 64)).mean().backward()
    assert image.grad.abs().sum() > 0 and not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(("room", "reads"), [(2**20, [6, 3]), (2 * 3 * 8 * 8 * 4, [6, 4]), (0, [6, 6])])
def test_hr_images_are_read_once_as_long_as_their_features_fit(monkeypatch, room, reads):
    monkeypatch.setattr(lpips, "KEPT_BYTES", room)
    seen: list[torch.Tensor] = []

    class Counted(lpips.Lpips):
        def read(self, x):
            seen.append(x)
            return super().read(x)

    network = Counted(nn.Sequential(nn.Identity()), (0,), [torch.ones(1, 3, 1, 1)])
    sides = (8, 8, 9)
    hr, *results = (Views(View(_image(10 * s + k, side)) for k, side in enumerate(sides)) for s in range(3))
    counts = []
    for sr in results:
        seen.clear()
        found = lpips.pairwise(network, sr, hr)
        counts.append(len(seen))
        assert found == lpips.pairwise(network, sr, Views(list(hr)))
    assert counts == reads
