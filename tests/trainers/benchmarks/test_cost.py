"""Costs of networks are those of the literature."""

import pytest
from helpers.tiny import tiny
from torch import nn

from trainers.benchmarks.cost import gmacs, inference_cost, latencies_ms, parameters, step_flops
from trainers.config import GeneratorConfig
from trainers.models import build_generator


def test_costs_of_srresnet_are_counted():
    config = GeneratorConfig(num_blocks=1, channels=8, scale=2, norm="none")
    network = build_generator(config).eval()
    assert parameters(network) == sum(p.numel() for p in network.state_dict().values())
    trunk = 640 * 360 * (3 * 8 * 81 + 3 * 8 * 8 * 9 + 8 * 32 * 9)
    tail = 1280 * 720 * 8 * 3 * 81
    assert gmacs(network, 2) == pytest.approx((trunk + tail) / 1e9, rel=1e-6)
    assert latencies_ms([network], 2, side=32, repeats=2)[0] > 0


def test_the_memory_of_one_convolution_is_its_weights_and_both_images():
    cost = inference_cost(nn.Conv2d(3, 3, 3, padding=1), 1, px=64)
    images, blocks = 2 * 4 * 3 * 64 * 64, 2 * 512  # weights and bias take one block of the allocator each
    assert cost.px == 64 and cost.ms > 0 and cost.memory_mb * 1e6 == images + blocks
    assert "MB at 64x64 on" in cost.describe() and "threads: " in cost.device


def test_one_convolution_costs_its_weights_at_each_pixel():
    network = nn.Conv2d(3, 3, 3, padding=1)
    assert parameters(network) == 3 * 3 * 9 + 3
    assert gmacs(network, 1) == pytest.approx(1280 * 720 * 3 * 3 * 9 / 1e9)
    network.bias.requires_grad_(False)
    assert parameters(network) == 84


def test_operations_of_an_update_grow_with_the_crop_and_with_the_discriminator():
    small = tiny(generator__norm="none")
    large = tiny(generator__norm="none", data__crop_px=32)
    assert step_flops(large, "psnr") == 4 * step_flops(small, "psnr") > 0
    assert step_flops(small, "gan") > step_flops(small, "psnr")
    batch = tiny(generator__norm="none", data__batch_size=8)
    assert step_flops(batch, "gan") == step_flops(small, "gan"), "of one crop"


def test_networks_take_turns_so_that_a_busy_moment_slows_all_alike():
    calls = []

    class Named(nn.Conv2d):
        def forward(self, x):
            calls.append(self.padding[0])
            return super().forward(x)

    networks = [Named(3, 3, 2 * k + 1, padding=k) for k in (1, 2)]
    assert all(ms > 0 for ms in latencies_ms(networks, 1, side=16, repeats=3))
    assert calls == [1, 2] * 4, "one round warms up"
    assert latencies_ms([], 4) == []
