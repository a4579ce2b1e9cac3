"""Upsamplers start without a grid, and the bicubic image is the one other libraries compute."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.models.upsample import (
    UPSAMPLERS,
    Bicubic,
    nearest_conv,
    pixel_shuffle,
    shuffle_channels_last,
    transposed_conv,
    transposed_conv_3,
    upsampling,
)


def phase_spread(image: torch.Tensor, factor: int) -> float:
    """Largest difference between the output phases of an image that should be flat, borders left out."""
    inner = image[..., 2 * factor : -2 * factor, 2 * factor : -2 * factor]
    folded = torch.nn.functional.pixel_unshuffle(inner, factor)
    phases = folded.reshape(*folded.shape[:1], -1, factor**2, *folded.shape[2:])
    return float((phases.amax(2) - phases.amin(2)).max().detach())


@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_starts_as_nearest_neighbour_and_plain_shuffle_does_not(factor):
    flat = torch.rand(1, 8, 1, 1).expand(1, 8, 8, 8)
    assert phase_spread(pixel_shuffle(8, factor, icnr=True)(flat), factor) < 1e-6
    assert phase_spread(pixel_shuffle(8, factor)(flat), factor) > 0.05
    noise = torch.rand(1, 8, 8, 8)
    assert phase_spread(pixel_shuffle(8, factor, icnr=True)(noise), factor) < 1e-6


@pytest.mark.parametrize("build", [transposed_conv, nearest_conv])
@pytest.mark.parametrize("factor", [2, 3])
def test_flat_features_stay_flat_at_the_start(build, factor):
    flat = torch.rand(1, 8, 1, 1).expand(1, 8, 8, 8)
    assert phase_spread(build(8, factor)(flat), factor) < 1e-6


@pytest.mark.parametrize("factor", [2, 3])
def test_every_output_of_the_transposed_convolution_sums_equally_many_taps(factor):
    conv = transposed_conv(1, factor)
    assert conv.kernel_size[0] % conv.stride[0] == 0
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    inner = conv(torch.ones(1, 1, 9, 9))[..., 6:-6, 6:-6]
    assert inner.min() == inner.max() == (conv.kernel_size[0] // factor) ** 2


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_equals_pillow_away_from_the_borders(scale):
    image = np.random.default_rng(0).random((12, 15), dtype=np.float32)
    theirs = np.asarray(Image.fromarray(image).resize((15 * scale, 12 * scale), Image.Resampling.BICUBIC))
    ours = Bicubic(scale)(torch.from_numpy(image)[None, None])[0, 0].numpy()
    inner = slice(2 * scale, -2 * scale)
    assert np.abs(ours - theirs)[inner, inner].max() < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (5, 4)])
def test_bicubic_keeps_a_flat_image_at_any_size(size):
    flat = torch.full((2, 3, *size), 0.25)
    up = Bicubic(4)(flat)
    assert up.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert torch.allclose(up, torch.tensor(0.25), atol=1e-6)


def test_bicubic_mirrors_at_the_border():
    row = torch.tensor([0.0, 1.0, 0.0, 0.0])
    mirrored = torch.cat([row.flip(0), row, row.flip(0)])
    whole = Bicubic(2)(mirrored.expand(1, 1, 12, 12))
    part = Bicubic(2)(row.expand(1, 1, 4, 4))
    assert torch.allclose(part[0, 0, 2], whole[0, 0, 10, 8:16], atol=1e-6)


def test_bicubic_of_scale_one_is_the_image_and_a_gradient_passes():
    image = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert Bicubic(1)(image) is image
    assert torch.autograd.gradcheck(Bicubic(2), (image,))


@pytest.mark.parametrize("name", [n for n in UPSAMPLERS if n not in ("interp_transposed", "bicubic_input")])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8, 16])
def test_every_upsampler_reaches_every_scale(name, scale):
    grown = upsampling(name, scale, 4, torch.nn.PReLU)(torch.rand(2, 4, 5, 7))
    assert grown.shape == (2, 4, 5 * scale, 7 * scale)


def test_interp_transposed_learns_its_last_doubling_only():
    stages = upsampling("interp_transposed", 8, 4, torch.nn.PReLU)
    assert stages(torch.rand(1, 4, 3, 5)).shape == (1, 4, 24, 40)
    transposed = [m for m in stages.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert len(transposed) == 1 and transposed[0] is stages[-1][0]


def test_kernel_three_sums_unequal_numbers_of_taps():
    conv = transposed_conv_3(1, 2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    inner = conv(torch.ones(1, 1, 9, 9))[..., 4:-4, 4:-4]
    assert sorted(inner.unique().tolist()) == [1, 2, 4]


@pytest.mark.parametrize("factor", [2, 3])
def test_the_pixel_shuffle_of_a_gpu_is_torchs_and_keeps_the_memory_format(factor):
    results = []
    for shuffle in (shuffle_channels_last, torch.nn.functional.pixel_shuffle):
        x = torch.arange(2 * 5 * factor**2 * 4 * 3, dtype=torch.float64).view(2, 5 * factor**2, 4, 3)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        out = shuffle(x, factor)
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum().backward()
        results.append((out, x.grad))
    (ours, gradient), (theirs, expected) = results
    assert torch.equal(ours, theirs) and torch.equal(gradient, expected)
    assert ours.is_contiguous(memory_format=torch.channels_last)
