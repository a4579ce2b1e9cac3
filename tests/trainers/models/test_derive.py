"""A new network that begins as a trained one of another architecture."""

from dataclasses import replace

import pytest
import torch

from trainers.config import GeneratorConfig
from trainers.models import build_generator
from trainers.models.derive import CONVERTED, derive, is_derivable
from trainers.models.upsample import UPSAMPLERS

BASE = GeneratorConfig(num_blocks=2, channels=8, norm="none", upsampler="pixel_shuffle")


def derived(before, now, seed=0):
    """A source of settings `before` with weights from `seed`, and a network of `now` derived from it."""
    torch.manual_seed(seed)
    source = build_generator(before)
    images = torch.rand(4, 3, 12, 12)
    return source.eval(), derive(source, before, build_generator(now), now, images).eval(), images


@pytest.mark.parametrize("kind", ["srresnet", "leftthomas"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("blocks", [2, 5])
def test_more_blocks_and_a_norm_change_nothing(kind, norm, blocks):
    before = replace(BASE, kind=kind)
    now = replace(before, num_blocks=blocks, norm=norm)
    source, network, images = derived(before, now)
    with torch.no_grad():
        torch.testing.assert_close(network(images), source(images), rtol=0, atol=1e-6)
        trained = network.train()(images)  # by the moments of this batch, which are those of the examples
        torch.testing.assert_close(trained, source(images), rtol=0, atol=1e-4)


def test_a_network_with_norms_is_copied_with_their_moments():
    before = replace(BASE, norm="batch")
    torch.manual_seed(1)
    source = build_generator(before)
    for _ in range(3):
        source(torch.rand(4, 3, 12, 12))
    now = replace(before, num_blocks=3)
    network = derive(source.eval(), before, build_generator(now), now, torch.rand(2, 3, 12, 12)).eval()
    images = torch.rand(2, 3, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(network(images), source(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("upsampler", ["pixel_shuffle", "transposed_conv"])
def test_an_upsampler_that_contains_the_other_computes_the_same(upsampler, scale):
    """Nearest-neighbour upsampling and a convolution are a transposed one of kernel 4, or four of LR size."""
    before = replace(BASE, upsampler="nearest_conv", scale=scale)
    source, network, images = derived(before, replace(before, upsampler=upsampler))
    with torch.no_grad():
        torch.testing.assert_close(network(images), source(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("upsampler", [name for name in CONVERTED if name != "pixel_shuffle"])
def test_any_other_upsampler_comes_as_close_as_its_kernels_can(upsampler):
    """The residual of the responses is orthogonal to every kernel: no step makes it smaller."""
    torch.manual_seed(2)
    now = replace(BASE, upsampler=upsampler)
    source, target = build_generator(BASE), build_generator(now)
    derive(source, BASE, target, now, torch.rand(1, 3, 8, 8))
    image = torch.zeros(1, BASE.channels, 7, 7)
    image[:, 3, 3, 3] = 1
    before, layers = source.upsampling[0][0].double(), target.upsampling[0][0].double()
    for module in (*before.modules(), *layers.modules()):
        if getattr(module, "bias", None) is not None:
            torch.nn.init.zeros_(module.bias)
    distance = (layers(image.double()) - before(image.double()).detach()).square().sum()
    distance.backward()
    weight = next(p for p in layers.parameters() if p.ndim == 4)
    scale = distance.sqrt().item()
    assert scale > 0.01 and weight.grad.abs().max() < 1e-5 * scale


@pytest.mark.parametrize(
    "change",
    [
        {"num_blocks": 1},
        {"channels": 16},
        {"scale": 2},
        {"kind": "leftthomas"},
        {"upsampler": "interp_transposed"},
    ],
)
def test_what_cannot_begin_with_the_other(change):
    assert not is_derivable(BASE, replace(BASE, **change))


def test_a_norm_is_inserted_but_not_taken_away():
    assert is_derivable(BASE, replace(BASE, norm="batch"))
    assert not is_derivable(replace(BASE, norm="batch"), BASE)


def test_a_network_that_has_other_layers_is_derived_from_no_other():
    rrdb = GeneratorConfig(kind="rrdb", num_blocks=2, norm="none", upsampler="nearest_conv")
    assert not is_derivable(rrdb, replace(rrdb, num_blocks=3))


def test_the_upsamplers_are_ours():
    assert set(CONVERTED) < set(UPSAMPLERS)
