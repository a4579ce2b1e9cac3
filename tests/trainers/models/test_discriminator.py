"""Discriminators: published sizes and layouts, the image sizes they take, norms and activations."""

import pytest
import torch
from torch import nn

from datasets.errors import UserError
from trainers.config import DiscriminatorConfig
from trainers.config.loss import ADVERSARIAL_LOSSES
from trainers.losses import adversarial_d
from trainers.models import build_discriminator

ESRGAN = dict(kind="esrgan", image_px=128, num_layers=10)
UNET = dict(kind="unet_sn", num_layers=10, norm="spectral")


def small(**settings) -> nn.Module:
    torch.manual_seed(0)
    return build_discriminator(DiscriminatorConfig(**{"base_channels": 4} | settings))


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        (dict(kind="paper", image_px=96), 23_563_649),  # SRGAN: 23.56 M
        (ESRGAN, 14_499_401),  # 14.50 M
        (UNET, 4_376_897),
        (dict(), 5_213_569),  # leftthomas: 5.2 M
    ],
)
def test_parameters_are_as_many_as_published(settings, published):
    net = build_discriminator(DiscriminatorConfig(**settings))
    assert sum(p.numel() for p in net.parameters()) == published


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d)]


def test_size_free_keeps_the_convolutions_of_the_paper():
    for kind in ("size_free", "paper"):
        convs = convolutions(build_discriminator(DiscriminatorConfig(kind=kind)))
        assert [c.out_channels for c in convs] == [64, 64, 128, 128, 256, 256, 512, 512]
        assert [c.stride[0] for c in convs] == [1, 2, 1, 2, 1, 2, 1, 2]


def test_esrgan_halves_with_kernel_four_down_to_four_pixels():
    net = small(**ESRGAN)
    assert [c.kernel_size[0] for c in convolutions(net)] == [3, 4] * 5
    assert net.features(torch.rand(1, 3, 128, 128)).shape == (1, 32, 4, 4)
    assert small(kind="esrgan", image_px=256, num_layers=12)(torch.rand(1, 3, 256, 256)).shape == (1, 1)


@pytest.mark.parametrize("norm", ["batch", "layer", "none", "spectral"])
@pytest.mark.parametrize("size", [(32, 32), (17, 45), (96, 64)])
def test_size_free_gives_one_logit_for_any_size(norm, size):
    net = small(num_layers=6, norm=norm, base_channels=8)
    assert net(torch.rand(2, 3, *size)).shape == (2, 1)


@pytest.mark.parametrize("settings", [dict(kind="paper", image_px=32), ESRGAN], ids=["paper", "esrgan"])
def test_a_dense_head_takes_one_size_only(settings):
    net = small(**settings)
    side = settings["image_px"]
    assert net(torch.rand(2, 3, side, side)).shape == (2, 1)
    with pytest.raises(
        UserError, match=rf"built for images of {side} px, but got {side} x 40; set discrimin"
    ):
        net(torch.rand(2, 3, side, 40))


@pytest.mark.parametrize("settings", [UNET, dict(norm="spectral", num_layers=4)], ids=["unet", "size_free"])
def test_spectral_norm_follows_the_weights_in_training(settings):
    net = small(**settings | {"base_channels": 8})
    conv = next(m for m in net.modules() if nn.utils.parametrize.is_parametrized(m))
    with torch.no_grad():
        conv.parametrizations.weight.original.mul_(7).add_(0.05)
    for _ in range(30):
        net(torch.rand(1, 3, 32, 32))
    largest = torch.linalg.matrix_norm(conv.weight.detach().flatten(1), ord=2)
    assert float(largest) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("activation", [nn.LeakyReLU, nn.PReLU])
def test_activation_by_name(activation):
    name = {nn.LeakyReLU: "leaky_relu", nn.PReLU: "prelu"}[activation]
    kinds = {type(m) for m in small(activation=name).modules()}
    assert activation in kinds and len(kinds & {nn.LeakyReLU, nn.PReLU}) == 1


@pytest.mark.parametrize(
    "settings", [dict(), dict(kind="paper", image_px=32), dict(kind="patch", num_layers=3), UNET]
)
def test_gradient_reaches_every_parameter_and_the_image(settings):
    net = small(**settings)
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    net(image).square().mean().backward()
    assert image.grad.abs().max() > 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


@pytest.mark.parametrize("game", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("settings", [dict(norm="layer", num_layers=4), dict(kind="patch", num_layers=3)])
def test_every_game_teaches_to_tell_two_batches_apart(settings, game):
    net = small(**settings)
    real, fake = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16) * 0.5
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    values = []
    for _ in range(10):
        loss = adversarial_d(game, net(real), net(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]
    assert net(real).mean() > net(fake).mean()
