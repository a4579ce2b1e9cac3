"""Every generator, whatever its settings: published sizes, any image size, gradients, export."""

import pytest
import torch

from trainers.config import GeneratorConfig, networks
from trainers.losses import pixel_loss
from trainers.models import DISCRIMINATORS, UPSAMPLERS, build_generator

SRCNN = dict(num_blocks=1, norm="none", upsampler="bicubic_input")
RRDB = dict(kind="rrdb", norm="none", upsampler="nearest_conv")
SMALL = {
    "srresnet": dict(num_blocks=2, channels=8),
    "srresnet_skip": dict(num_blocks=2, channels=8, norm="none", global_skip="bicubic"),
    "leftthomas": dict(kind="leftthomas", num_blocks=2, channels=8),
    "rrdb": RRDB | dict(num_blocks=1, channels=8, growth=4),
    "rrdb_skip": RRDB | dict(num_blocks=1, channels=8, growth=4, global_skip="bicubic"),
    "rrdb_x2": RRDB | dict(num_blocks=1, channels=8, growth=4, scale=2, unshuffle_input=True),
    "rrdb_x1": RRDB | dict(num_blocks=1, channels=8, growth=4, scale=1, unshuffle_input=True),
    "srcnn_915_y": SRCNN | dict(kind="srcnn_915", colors="y", channels=8, scale=3),
    "srcnn_955_rgb": SRCNN | dict(kind="srcnn_955", channels=8, global_skip="bicubic"),
}


def small(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator(GeneratorConfig(**SMALL[name]))


def test_tables_hold_exactly_the_names_of_the_configuration():
    assert tuple(DISCRIMINATORS) == networks.DISCRIMINATORS
    assert tuple(UPSAMPLERS) == networks.UPSAMPLERS


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        (dict(), 1_547_350),  # SRResNet, 16 blocks: 1.55 M
        (dict(kind="leftthomas", num_blocks=5), 734_219),
        (dict(kind="leftthomas", num_blocks=16), 1_549_462),
        (RRDB | dict(num_blocks=23), 16_697_987),  # ESRGAN: 16.70 M
        (RRDB | dict(num_blocks=16), 11_662_019),
        (SRCNN | dict(kind="srcnn_915", colors="y"), 8_129),
        (SRCNN | dict(kind="srcnn_955", colors="y"), 57_281),
        (SRCNN | dict(kind="srcnn_955"), 69_251),
    ],
)
def test_parameters_are_as_many_as_published(settings, published):
    with torch.device("meta"):
        net = build_generator(GeneratorConfig(**settings))
    assert sum(p.numel() for p in net.parameters()) == published
    with torch.device("meta"):  # where costs are counted without computing
        assert net(torch.rand(1, 3, 9, 7)).device.type == "meta"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(5, 7), (1, 6)])
def test_every_generator_takes_any_size_and_names_its_last_convolution(name, size):
    net = small(name).eval()
    scale = SMALL[name].get("scale", 4)
    assert net(torch.rand(2, 3, *size)).shape == (2, 3, scale * size[0], scale * size[1])
    assert isinstance(net.tail, torch.nn.Conv2d)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter_and_the_input(name):
    net = small(name)
    image = torch.rand(2, 3, 6, 5, requires_grad=True)
    (net(image) - 0.5).square().mean().backward()
    assert image.grad is not None and image.grad.abs().max() > 0
    # a bias in front of a batch norm is subtracted again: leftthomas has some, as published
    useless = {"body.0.bias", "body.3.bias", "fuse.0.bias"} if name == "leftthomas" else set()
    still = [n for n, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert [n for n in still if not any(n.endswith(u) for u in useless)] == []


@pytest.mark.parametrize("name", SMALL)
def test_export_with_every_dimension_dynamic_equals_the_network(name):
    net = small(name).eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        net, (torch.rand(2, 3, 8, 10),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
    ).module()
    for shape in ((1, 3, 5, 7), (3, 3, 13, 9)):
        image = torch.rand(shape)
        assert torch.allclose(program(image), net(image), atol=1e-6)


@pytest.mark.parametrize("name", ["srresnet_skip", "rrdb_skip", "srcnn_955_rgb"])
def test_bicubic_skip_starts_near_the_bicubic_image(name):
    net = small(name).eval()
    bicubic = net.bicubic if name.startswith("srcnn") else net.skip
    image = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        change = net(image) - bicubic(image)
    assert 0 < change.abs().max() < 0.1


@pytest.mark.parametrize("name", ["srresnet", "rrdb", "srcnn_955_rgb"])
def test_the_last_convolution_keeps_full_precision_under_autocast(name):
    net = small(name).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert net(torch.rand(1, 3, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize("name", SMALL)
def test_one_batch_is_learnt(name):
    net = small(name)
    scale = SMALL[name].get("scale", 4)
    lr_image = torch.rand(2, 3, 6, 6)
    hr = 1 - lr_image.repeat_interleave(scale, 2).repeat_interleave(scale, 3)  # the negative
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    values = []
    for _ in range(25):
        loss = pixel_loss("l2", net(lr_image), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.9 * values[0]
