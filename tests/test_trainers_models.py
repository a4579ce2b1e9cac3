"""The tables of networks: one entry per name in the configuration, and every entry can be built."""

import pytest
import torch

from datasets.errors import UserError
from trainers import config
from trainers.config import DiscriminatorConfig, GeneratorConfig
from trainers.models import DISCRIMINATORS, GENERATORS, UPSAMPLERS, build_discriminator, build_generator


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_tables_hold_exactly_the_names_of_the_configuration():
    assert set(GENERATORS) == set(config.GENERATORS)
    assert set(DISCRIMINATORS) == set(config.DISCRIMINATORS)
    assert set(UPSAMPLERS) == set(config.UPSAMPLERS)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"no generator 'srresnt'; known: .*did you mean 'srresnet'"):
        GeneratorConfig(kind="srresnt")
    with pytest.raises(UserError, match=r"no upsampler 'pixelshuffle'"):
        GeneratorConfig(upsampler="pixelshuffle")
    with pytest.raises(UserError, match=r"no discriminator 'sizefree'"):
        DiscriminatorConfig(kind="sizefree")


def test_srresnet_has_the_published_number_of_parameters():
    assert parameters(build_generator(GeneratorConfig())) == 1_547_350
    assert parameters(build_generator(GeneratorConfig(num_blocks=8))) < 1_547_350


@pytest.mark.parametrize("upsampler", config.UPSAMPLERS)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8, 16])
def test_every_upsampler_reaches_every_scale(upsampler, scale):
    net = build_generator(GeneratorConfig(scale=scale, num_blocks=1, channels=4, upsampler=upsampler))
    assert net(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gradient_reaches_every_parameter_and_the_input(norm):
    net = build_generator(GeneratorConfig(num_blocks=2, channels=8, norm=norm, global_skip="bicubic"))
    image = torch.rand(2, 3, 6, 5, requires_grad=True)
    net(image).square().mean().backward()
    assert image.grad is not None and image.grad.abs().min() > 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_without_norm_there_is_no_batch_statistic_and_every_convolution_has_a_bias():
    net = build_generator(GeneratorConfig(num_blocks=1, norm="none"))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert all(m.bias is not None for m in net.modules() if isinstance(m, torch.nn.Conv2d))


def test_bicubic_skip_starts_near_the_bicubic_image():
    torch.manual_seed(0)
    net = build_generator(GeneratorConfig(num_blocks=2, channels=16, global_skip="bicubic")).eval()
    image = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        change = net(image) - net.skip(image)
    assert 0 < change.abs().max() < 0.1


@pytest.mark.parametrize("upsampler", config.UPSAMPLERS)
def test_export_with_every_dimension_dynamic_equals_the_network(upsampler):
    torch.manual_seed(0)
    net = build_generator(
        GeneratorConfig(num_blocks=1, channels=4, upsampler=upsampler, global_skip="bicubic")
    ).eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        net, (torch.rand(2, 3, 8, 10),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
    ).module()
    for shape in ((1, 3, 5, 7), (3, 3, 13, 9)):
        image = torch.rand(shape)
        assert torch.allclose(program(image), net(image), atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("size", [(32, 32), (17, 45), (96, 64)])
def test_size_free_discriminator_gives_one_logit_for_any_size(norm, size):
    net = build_discriminator(DiscriminatorConfig(base_channels=8, num_layers=6, norm=norm))
    assert net(torch.rand(2, 3, *size)).shape == (2, 1)


def test_size_free_discriminator_keeps_the_layout_of_the_paper():
    net = build_discriminator(DiscriminatorConfig())
    convs = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [c.stride[0] for c in convs] == [1, 2, 1, 2, 1, 2, 1, 2]
    assert net.features(torch.rand(1, 3, 96, 96)).shape == (1, 512, 6, 6)
