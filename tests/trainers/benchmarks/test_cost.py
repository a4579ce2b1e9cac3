"""Costs of networks are those of the literature."""

import pytest
from torch import nn

from trainers.benchmarks.cost import gmacs, latency_ms, parameters
from trainers.config import GeneratorConfig
from trainers.models import build_generator


def test_costs_of_srresnet_are_counted():
    config = GeneratorConfig(num_blocks=1, channels=8, scale=2, norm="none")
    network = build_generator(config).eval()
    assert parameters(network) == sum(p.numel() for p in network.state_dict().values())
    trunk = 640 * 360 * (3 * 8 * 81 + 3 * 8 * 8 * 9 + 8 * 32 * 9)
    tail = 1280 * 720 * 8 * 3 * 81
    assert gmacs(network, 2) == pytest.approx((trunk + tail) / 1e9, rel=1e-6)
    assert latency_ms(network, 2, side=32, repeats=2) > 0


def test_one_convolution_costs_its_weights_at_each_pixel():
    network = nn.Conv2d(3, 3, 3, padding=1)
    assert parameters(network) == 3 * 3 * 9 + 3
    assert gmacs(network, 1) == pytest.approx(1280 * 720 * 3 * 3 * 9 / 1e9)
    network.bias.requires_grad_(False)
    assert parameters(network) == 84
