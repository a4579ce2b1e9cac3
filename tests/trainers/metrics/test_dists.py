"""DISTS computes the paper's formulas; its published weights are not needed to show it."""

import pytest
import torch

from trainers.metrics import dists


def test_dists_of_equal_images_is_zero_and_of_texture_is_small():
    from torchvision.models import vgg16

    torch.manual_seed(0)
    network = dists.Dists(vgg16(weights=None).features, torch.rand(1, 1475, 1, 1), torch.rand(1, 1475, 1, 1))
    a, b = torch.rand(2, 1, 3, 48, 48) * 2 - 1
    assert float(network(a, a)) == pytest.approx(0, abs=1e-5)
    shifted = a.roll(3, 2)  # the same texture at other places
    assert 0 < float(network(a, shifted)) and float(network(a, b * 0.2)) > float(network(a, b))


def test_l2_pooling_keeps_a_constant_inside_and_halves():
    pooled = dists.L2Pool()(torch.full((1, 4, 9, 9), 3.0))
    assert pooled.shape == (1, 4, 5, 5) and torch.allclose(pooled[..., 1:-1, 1:-1], torch.tensor(3.0))
