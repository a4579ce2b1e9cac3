"""Interpolated weights lie between those of two networks of one architecture."""

import pytest
import torch
from torch import nn

from datasets.errors import UserError
from trainers.inference.interpolation import interpolate


def networks(channels=(4, 4)):
    torch.manual_seed(0)
    return [nn.Sequential(nn.Conv2d(3, c, 1), nn.BatchNorm2d(c), nn.Conv2d(c, 3, 1)) for c in channels]


def test_alpha_0_and_1_are_the_two_networks():
    psnr, gan = networks()
    for alpha, network in ((0.0, psnr), (1.0, gan)):
        mixed = interpolate(psnr, gan, alpha)
        assert all(torch.equal(a, b) for a, b in zip(mixed.parameters(), network.parameters(), strict=True))


def test_weights_are_mixed_linearly_and_the_originals_stay():
    psnr, gan = networks()
    before = psnr[0].weight.clone()
    mixed = interpolate(psnr, gan, 0.25)
    assert torch.allclose(mixed[0].weight, 0.75 * psnr[0].weight + 0.25 * gan[0].weight)
    assert torch.equal(psnr[0].weight, before) and not mixed.training


def test_batch_norm_is_measured_again_for_the_mixed_weights():
    psnr, gan = networks()
    lr_images = [torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)]
    mixed = interpolate(psnr, gan, 0.5, lr_images)
    means = torch.stack([mixed[0](x).mean((0, 2, 3)) for x in lr_images]).mean(0)
    assert torch.allclose(mixed[1].running_mean, means, atol=1e-6)


def test_other_architectures_and_alphas_outside_the_range_are_refused():
    with pytest.raises(UserError, match="only two networks of one architecture can be interpolated"):
        interpolate(*networks((4, 8)), 0.5)
    with pytest.raises(UserError, match=r"alpha must be in \[0, 1\], but got 1.5"):
        interpolate(*networks(), 1.5)
