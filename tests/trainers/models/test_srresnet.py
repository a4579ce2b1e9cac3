"""SRResNet and its public variant: biases, norms, the bounds of the output."""

import pytest
import torch

from trainers.config import GeneratorConfig
from trainers.models import build_generator


def small(**settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(GeneratorConfig(**{"num_blocks": 1, "channels": 8} | settings)).eval()


def test_without_norm_there_is_no_batch_statistic_and_every_convolution_has_a_bias():
    net = small(norm="none")
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert all(m.bias is not None for m in net.modules() if isinstance(m, torch.nn.Conv2d))


@pytest.mark.parametrize(("kind", "biased"), [("srresnet", False), ("leftthomas", True)])
def test_only_the_public_variant_has_biases_before_a_batch_norm(kind, biased):
    net = small(kind=kind)
    assert all((block.body[i].bias is not None) == biased for block in net.blocks for i in (0, 3))


def test_leftthomas_is_bounded_and_srresnet_is_not():
    bright = torch.full((1, 3, 8, 8), 50.0)
    with torch.no_grad():
        bounded = small(kind="leftthomas")(bright)
        assert 0 <= bounded.min() and bounded.max() <= 1
        assert small(kind="srresnet")(bright).abs().max() > 1


def test_with_a_bicubic_skip_the_output_is_added_to_the_bicubic_image():
    net = small(norm="none", global_skip="bicubic")
    for parameter in net.tail.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(net(image), net.skip(image))
