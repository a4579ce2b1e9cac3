"""SRCNN: luma only, the kernels of both papers, the start of its weights."""

import pytest
import torch

from trainers.config import GeneratorConfig
from trainers.losses import luma
from trainers.models import build_generator


def small(**settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(GeneratorConfig(**{"num_blocks": 1, "channels": 8} | settings)).eval()


SRCNN = dict(norm="none", upsampler="bicubic_input", scale=3)


def test_srcnn_on_luma_leaves_chroma_bicubic():
    net = small(kind="srcnn_915", colors="y", **SRCNN)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    image = torch.rand(2, 3, 8, 6)
    with torch.no_grad():
        sr, bicubic = net(image), net.bicubic(image)
        restored = net.tail(net.blocks(net.head(luma(bicubic))))
    assert torch.allclose(luma(sr), restored, atol=1e-5)
    for colour in (0, 2):  # R - Y and B - Y carry the chroma
        ours, theirs = (x[:, colour] - x.mean(1) for x in (sr, bicubic))
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert (sr - bicubic).abs().max() > 0.1


@pytest.mark.parametrize(("kind", "kernels"), [("srcnn_915", [9, 1, 5]), ("srcnn_955", [9, 5, 5])])
def test_kernels_are_those_of_the_papers_and_borders_repeat_the_edge_pixel(kind, kernels):
    convs = [m for m in small(kind=kind, **SRCNN).modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.kernel_size[0] for c in convs] == kernels
    assert {c.padding_mode for c in convs} == {"replicate"}


def test_weights_start_nearly_at_zero_as_in_the_paper_and_biases_at_zero():
    net = small(kind="srcnn_955", channels=64, **SRCNN | {"scale": 4})
    assert float(net.head[0].weight.std().detach()) == pytest.approx(1e-3, rel=0.05)
    assert net.head[0].bias.abs().max() == 0
