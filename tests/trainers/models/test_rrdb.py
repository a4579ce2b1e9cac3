"""RRDBNet: residual scaling, the start of its weights, folded inputs."""

import pytest
import torch

from trainers.config import GeneratorConfig
from trainers.models import build_generator
from trainers.models.rrdb import RRDB as Block
from trainers.models.rrdb import DenseBlock

RRDB = dict(kind="rrdb", norm="none", upsampler="nearest_conv", num_blocks=1, channels=8, growth=4)


def small(**settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(GeneratorConfig(**RRDB | settings)).eval()


def test_dense_blocks_start_a_tenth_of_he():
    torch.manual_seed(0)
    block = DenseBlock(64, 32)
    assert float(block.convs[0].weight.std().detach()) == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
    assert all(conv.bias.abs().max() == 0 for conv in block.convs)


def test_residuals_are_scaled_by_a_fifth_inside_and_outside():
    block = Block(4, 2)
    for dense in block.body:
        torch.nn.init.zeros_(dense.convs[-1].weight)
        torch.nn.init.ones_(dense.convs[-1].bias)
    x = torch.rand(1, 4, 5, 5)
    # each dense block adds 0.2; the RRDB adds a fifth of x + 0.6
    torch.testing.assert_close(block(x), x + 0.2 * (x + 0.6))


@pytest.mark.parametrize(("scale", "fold"), [(1, 4), (2, 2)])
def test_a_folded_input_of_any_size_keeps_the_scale(scale, fold):
    net = small(scale=scale, unshuffle_input=True)
    assert net.fold == fold and net.head.in_channels == 3 * fold**2
    assert net(torch.rand(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)
