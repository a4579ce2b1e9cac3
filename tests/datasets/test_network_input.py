"""Inputs for all tasks: grey and edges, each made smaller by the one bicubic."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.feature import canny

from datasets.config import INPUTS, DataConfig
from datasets.degrade import down
from datasets.network_input import _CONTENT, edges, grey, network_input

SQUARE = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
SQUARE[:, :, 16:48, 16:48] = 200
NOISE = torch.randint(0, 256, (2, 3, 32, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_every_input_is_made() -> None:
    assert tuple(_CONTENT) == INPUTS


def test_grey_is_the_luma_of_pillow() -> None:
    theirs = np.stack([np.asarray(Image.fromarray(i.permute(1, 2, 0).numpy()).convert("L")) for i in NOISE])
    ours = grey(NOISE)
    assert ours.shape == NOISE.shape and torch.equal(ours[:, 0], ours[:, 2])
    assert np.abs(ours[:, 0].numpy().astype(int) - theirs).max() <= 1  # Pillow rounds its coefficients


def test_a_grey_image_is_its_own_grey() -> None:
    flat = NOISE[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(grey(flat), flat)


def test_edges_are_skimages_canny() -> None:
    ours = edges(SQUARE, 1.0, 0.1, 0.2)
    theirs = canny(grey(SQUARE)[0, 0].numpy() / 255, sigma=1.0, low_threshold=0.1, high_threshold=0.2)
    assert np.array_equal(ours[0, 0].numpy(), theirs * np.uint8(255))
    assert theirs.any() and not theirs[20:44, 20:44].any()  # the outline of the square, not its inside


@pytest.mark.parametrize("scale", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_are_found_at_full_size_then_made_smaller(kind: str, scale: int) -> None:
    data = DataConfig(input=kind)
    small = network_input(SQUARE, scale, data)
    assert small.shape == (1, 3, 64 // scale, 64 // scale) and small.dtype == torch.uint8
    assert torch.equal(small, down(_CONTENT[kind](SQUARE, data), scale))


def test_higher_thresholds_give_fewer_edges() -> None:
    counts = [(edges(NOISE, 1.0, t / 2, t) > 0).sum() for t in (0.1, 0.3, 0.6)]
    assert counts[0] > counts[1] > counts[2]
