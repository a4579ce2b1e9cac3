"""Tiles equal the whole picture, the halo is what the network sees, and memory stays bounded."""

from math import ceil

import numpy as np
import pytest
import torch
from torch import nn

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.config.networks import UPSAMPLERS
from trainers.inference.tiling import footprint, in_tiles, plan, upscale
from trainers.models import build_generator


def _network(**settings):
    torch.manual_seed(0)
    config = GeneratorConfig(**{"num_blocks": 2, "channels": 8, **settings})
    return build_generator(config).eval(), config.scale


def _image(height, width, dtype=np.uint8, channels=(3,)):
    high = np.iinfo(dtype).max
    rng = np.random.default_rng(height * width)
    return rng.integers(high, size=(height, width, *channels), dtype=dtype, endpoint=True)


def _whole(network, image):
    x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        y = network(x)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return np.floor(y * 255 + 0.5)


def test_the_halo_of_srresnet_is_the_sum_of_its_kernels():
    """4 of the first 9x9, 2 per block, 1 after the blocks, 1 + 1/2 of two doublings, 4/4 of the last 9x9."""
    network, scale = _network(num_blocks=3, upsampler="pixel_shuffle", scale=4)
    assert footprint(network, scale).halo == ceil(4 + 6 + 1 + 1.5 + 1)


def test_a_halo_beyond_the_first_probe_is_found():
    deep = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(100)))
    assert footprint(deep, 1).halo == 100


def test_a_network_that_sees_everything_is_refused():
    class Global(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.gain + x.mean()

    with pytest.raises(UserError, match="cannot be tiled"):
        footprint(Global(), 1)


_RRDB = dict(kind="rrdb", norm="none", upsampler="nearest_conv", num_blocks=1, growth=4)
_SRCNN = dict(norm="none", upsampler="bicubic_input", num_blocks=1)
_DESIGNS = {
    **{name: dict(upsampler=name) for name in UPSAMPLERS if name != "bicubic_input"},
    "leftthomas": dict(kind="leftthomas"),
    "rrdb": _RRDB,
    "rrdb folded by 2": _RRDB | dict(unshuffle_input=True),
    "rrdb folded by 4": _RRDB | dict(unshuffle_input=True, scale=1),
    "srcnn 9-1-5 on luma": _SRCNN | dict(kind="srcnn_915", colors="y"),
    "srcnn 9-5-5": _SRCNN | dict(kind="srcnn_955", scale=3, global_skip="bicubic"),
    "bicubic skip": dict(global_skip="bicubic", scale=3),
}


_DRAWN = [tuple(int(n) for n in size) for size in np.random.default_rng(0).integers(16, 48, size=(2, 2))]


@pytest.mark.parametrize("design", _DESIGNS)
@pytest.mark.parametrize("size", [(37, 31), (5, 307), *_DRAWN])
def test_tiles_equal_the_whole_picture(design, size):
    smallest = 4 if design == "interp_transposed" else 2
    network, scale = _network(**{"scale": smallest} | _DESIGNS[design])
    image, calls = _image(*size), []
    memory_mb = footprint(network, scale).bytes_per_pixel * size[0] * size[1] / 3 / 2**20
    tiled = upscale(network, image, scale=scale, memory_mb=memory_mb, progress=lambda *a: calls.append(a))
    assert np.abs(tiled - _whole(network, image)).max() <= 1
    assert calls[-1][0] == calls[-1][1] == len(calls) > 1


@pytest.mark.parametrize("scale", [1, 3, 4, 8])
def test_each_scale_fits_its_tiles_together(scale):
    network, _ = _network(scale=scale, channels=4, global_skip="bicubic")
    image = _image(41, 53)
    tiles = plan(41, 53, footprint(network, scale).halo, 900)
    assert len(tiles) > 1
    small = footprint(network, scale).bytes_per_pixel * 900 / 2**20
    assert np.abs(upscale(network, image, scale=scale, memory_mb=small) - _whole(network, image)).max() <= 1


@pytest.mark.parametrize(("height", "width", "halo", "limit"), [(97, 89, 5, 900), (500, 20, 12, 2000)])
def test_a_plan_covers_each_pixel_once_within_the_limit(height, width, halo, limit):
    covered = np.zeros((height, width), int)
    for tile in plan(height, width, halo, limit):
        covered[tile.core] += 1
        rows, columns = tile.read
        assert (rows.stop - rows.start) * (columns.stop - columns.start) <= limit
        for core, read, size in zip(tile.core, tile.read, (height, width), strict=True):
            assert read.start == max(0, core.start - halo) and read.stop == min(size, core.stop + halo)
    assert (covered == 1).all()


def test_an_image_that_fits_is_one_tile_and_a_tiny_limit_still_ends():
    assert len(plan(100, 100, 40, 10_000)) == 1
    assert len(plan(100, 100, 40, 1)) == 100


def test_grey_and_16_bit_keep_their_type():
    network, scale = _network(scale=2)
    grey = upscale(network, _image(20, 30, channels=()), scale=scale)
    assert grey.shape == (40, 60) and grey.dtype == np.uint8
    deep = upscale(network, _image(20, 30, np.uint16, ()), scale=scale)
    assert deep.shape == (40, 60) and deep.dtype == np.uint16 and len(np.unique(deep % 257)) > 1


def test_output_that_is_not_finite_is_refused():
    network, scale = _network(scale=2)
    with torch.no_grad():
        network.tail.bias.fill_(torch.inf)
    with pytest.raises(UserError, match="not finite; choose another model"):
        upscale(network, _image(16, 16), scale=scale)


def test_a_tensor_in_tiles_equals_the_whole():
    (network, _), x = _network(upsampler="pixel_shuffle", scale=4), torch.rand(1, 3, 41, 53)
    memory_mb = footprint(network, 4).bytes_per_pixel * 900 / 2**20
    with torch.inference_mode():
        whole = network(x)
        tiled = in_tiles(network, x, scale=4, memory_mb=memory_mb)
        assert len(plan(41, 53, footprint(network, 4).halo, 900)) > 1
    assert torch.allclose(whole, tiled, atol=1e-5)
