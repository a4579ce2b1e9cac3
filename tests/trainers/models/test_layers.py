"""The last convolution takes short cuts that must not show in its results."""

import pytest
import torch
from torch import nn

from trainers.config import GeneratorConfig
from trainers.models import build_generator
from trainers.models.layers import LastConv, _Bf16Gradients

UPSAMPLER = {"srresnet": "pixel_shuffle", "rrdb": "nearest_conv", "srcnn_955": "bicubic_input"}


@pytest.mark.parametrize("padding_mode", ["zeros", "replicate"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kernel", "channels"), [(9, 3), (5, 1), (3, 3)])
@pytest.mark.parametrize("size", [(12, 8), (7, 10)])
def test_values_and_gradients_are_those_of_a_plain_convolution(
    padding_mode, memory_format, kernel, channels, size
):
    torch.manual_seed(0)
    settings = dict(padding=kernel // 2, padding_mode=padding_mode, dtype=torch.float64)
    ours = LastConv(4, channels, kernel, **settings).to(memory_format=memory_format)
    plain = nn.Conv2d(4, channels, kernel, **settings)
    plain.load_state_dict(ours.state_dict())
    results = []
    for conv in (ours, plain):
        x = torch.rand(2, 4, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        x = x.contiguous(memory_format=memory_format).requires_grad_()
        out = conv(x)
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum().backward()
        results.append((out, x.grad, conv.weight.grad, conv.bias.grad))
    for a, b in zip(*results, strict=True):
        assert a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=1e-12)


def test_full_precision_under_autocast():
    conv, x = LastConv(4, 3, 9, padding=4), torch.rand(1, 4, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv(x.bfloat16()), conv(x.bfloat16().float()))
        assert conv(x).dtype == torch.float32


@pytest.mark.parametrize("kind", ["srresnet", "rrdb", "srcnn_955"])
def test_bf16_leaves_the_bicubic_image_inside_a_network_as_it_is(kind):
    """With a last convolution of zeros the output is the bicubic image, under autocast too."""
    config = GeneratorConfig(
        kind=kind, num_blocks=1, channels=8, norm="none", global_skip="bicubic", upsampler=UPSAMPLER[kind]
    )
    net = build_generator(config)
    nn.init.zeros_(net.tail.weight)
    nn.init.zeros_(net.tail.bias)
    image = torch.rand(2, 3, 12, 9)
    with torch.no_grad():
        exact = net(image)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = net(image)
    assert mixed.dtype == torch.float32
    assert (255 * (mixed - exact)).abs().max() < 1e-3  # grey levels; bf16 would be off by more than one


def test_gradients_in_bf16_are_those_of_float32_within_the_precision_of_bf16():
    torch.manual_seed(0)
    last = LastConv(16, 3, 9, padding=4)
    x = torch.rand(2, 16, 12, 10).to(torch.bfloat16).requires_grad_()
    half = _Bf16Gradients.apply(x, last.weight, last.bias, last.padding)
    full = torch.nn.functional.conv2d(x.float(), last.weight, last.bias, padding=4)
    assert half.dtype == torch.float32 and torch.equal(half, full), "the image is float32's"
    direction = torch.rand_like(full)
    inputs = x, last.weight, last.bias
    ours = torch.autograd.grad(half, inputs, direction)
    theirs = torch.autograd.grad(full, inputs, direction)
    assert [g.dtype for g in ours] == [torch.bfloat16, torch.float32, torch.float32]
    for a, b in zip(ours, theirs, strict=True):
        assert ((a.float() - b.float()).norm() / b.float().norm()).item() < 2**-6
    torch.testing.assert_close(ours[2], theirs[2])


def test_a_compiler_traces_the_gradients_in_bf16_as_one_graph_with_equal_results():
    torch.manual_seed(0)
    last = LastConv(8, 3, 5, padding=2)
    x = torch.rand(1, 8, 6, 6).to(torch.bfloat16).requires_grad_()

    def gradients(convolve):
        with torch.autocast("cpu", torch.bfloat16):
            out = convolve(x, last.weight, last.bias, last.padding)
        return torch.autograd.grad(out.square().sum(), (x, last.weight, last.bias))

    compiled = torch.compile(lambda *args: _Bf16Gradients.apply(*args), backend="aot_eager", fullgraph=True)
    for a, b in zip(gradients(compiled), gradients(_Bf16Gradients.apply), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ["srresnet", "rrdb"])
def test_a_compiler_traces_a_generator_under_autocast_as_one_graph(kind):
    """A break would leave the operations between two graphs to themselves, and most of the gain with them."""
    net = build_generator(GeneratorConfig(kind=kind, num_blocks=1, channels=8, norm="none"))
    whole = torch.compile(net, backend="eager", fullgraph=True)
    image = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(whole(image), net(image))
