"""Discriminators with a map of logits: the patch that a logit sees, image sizes, the norm of the head."""

import pytest
import torch
from torch import nn

from trainers.config import DiscriminatorConfig
from trainers.models import build_discriminator

UNET = dict(kind="unet_sn", num_layers=10, norm="spectral")


def small(**settings) -> nn.Module:
    torch.manual_seed(0)
    return build_discriminator(DiscriminatorConfig(**{"base_channels": 4} | settings))


def test_patch_judges_seventy_by_seventy_pixels():
    net = small(kind="patch", num_layers=5, norm="none")
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    logits = net(image)
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_unet_judges_every_pixel_of_any_size(size):
    assert small(**UNET)(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_the_head_of_patch_follows_the_norm():
    assert nn.utils.parametrize.is_parametrized(small(kind="patch", num_layers=4, norm="spectral").head)
    assert not nn.utils.parametrize.is_parametrized(small(kind="patch", num_layers=4, norm="batch").head)
