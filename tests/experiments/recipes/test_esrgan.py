"""Recipes of SRCNN and ESRGAN: published sizes and units of the losses."""

import pytest
import torch

from experiments import recipes
from trainers.losses import pixel_loss
from trainers.models import build_generator


def parameters(name):
    with torch.device("meta"):
        return sum(p.numel() for p in build_generator(recipes.build(name).generator).parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("srcnn_915", 8_129),
        ("srcnn_955", 57_281),
        ("srcnn_955_rgb", 69_251),
        ("esrgan_16", 11_662_019),
        ("esrgan", 16_697_987),
    ],
)
def test_generators_have_the_published_number_of_parameters(name, count):
    assert parameters(name) == count


def test_the_pixel_weight_is_in_the_papers_units():
    """ESRGAN measures pixels on [0, 1]: l1 there is half of ours."""
    hr = torch.zeros(1, 3, 4, 4)
    weight = recipes.build("esrgan").loss.pixel_weight
    assert weight * pixel_loss("l1", hr + 0.1, hr) == pytest.approx(1e-2 * 0.1)
