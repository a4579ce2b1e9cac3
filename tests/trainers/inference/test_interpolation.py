"""Interpolation of two networks: its ends, its middle, and pairs that it refuses."""

import pytest
import torch
from helpers.tiny import batch, tiny

from datasets.errors import UserError
from trainers.inference.interpolation import interpolate
from trainers.models import build_generator


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_interpolation_ends_at_the_two_networks_and_measures_batch_norm_anew(norm):
    config = tiny(generator__norm=norm).generator
    torch.manual_seed(0)
    psnr, gan = build_generator(config).eval(), build_generator(config).eval()
    inputs = [batch(i)[1] for i in range(2)]
    x = batch(9)[1]
    middle = interpolate(psnr, gan, 0.5, inputs)
    for name, weight in middle.named_parameters():
        wanted = (dict(psnr.named_parameters())[name] + dict(gan.named_parameters())[name]) / 2
        assert torch.allclose(weight, wanted, atol=1e-6)
    assert not middle.training
    if norm == "none":
        assert torch.equal(interpolate(psnr, gan, 0.0)(x), psnr(x))
        assert torch.equal(interpolate(psnr, gan, 1.0)(x), gan(x))
    else:
        means = [m.running_mean for m in middle.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert any(mean.abs().max() > 1e-4 for mean in means), (
            "statistics of the mixed network, not of neither"
        )


def test_other_architectures_and_alphas_beyond_the_ends_are_refused():
    one, two = (build_generator(tiny(generator__channels=c).generator) for c in (4, 8))
    with pytest.raises(UserError, match="only two networks of one architecture can be interpolated"):
        interpolate(one, two, 0.5)
    with pytest.raises(UserError, match=r"alpha must be in \[0, 1\], but got 1.5"):
        interpolate(one, one, 1.5)
