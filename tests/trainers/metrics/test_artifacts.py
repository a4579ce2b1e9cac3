"""Diagnostics of super-resolution: each sees its own fault and no other."""

import numpy as np
import pytest
import torch

from datasets.degrade import down, up
from datasets.pixels import named
from trainers.metrics import artifacts
from trainers.metrics.image_view import View, Views, luma


def _scene(side=64, block=8):
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, size=(side // block, side // block, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((block, block, 1)))
    image += rng.normal(0, 12, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def _resize(image, function):
    return function(torch.from_numpy(image.copy()).permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0).numpy()


def _views(image, lr_image=None):
    return Views([View(image, 4, lr_image)])


def test_the_image_itself_is_consistent_with_its_input_and_another_is_not():
    hr = _scene()
    lr_image = _resize(hr, down)
    assert artifacts.lr_consistency(_views(hr), _views(hr, lr_image)) == [99.0]
    bicubic = _resize(lr_image, up)
    faithful = artifacts.lr_consistency(_views(bicubic), _views(hr, lr_image))[0]
    other = artifacts.lr_consistency(_views(np.roll(hr, 8, axis=0)), _views(hr, lr_image))[0]
    assert faithful > 28 > other
    with pytest.raises(ValueError, match="input beside each image"):
        artifacts.lr_consistency(_views(hr), _views(hr))


def test_a_cast_is_its_distance_in_grey_levels_and_noise_is_none():
    hr = np.full((32, 32, 3), 100, np.uint8)
    cast = hr + np.array([3, 0, 4], np.uint8)
    assert artifacts.colour_shift(_views(cast), _views(hr)) == [5.0]
    noise = np.tile(np.array([[90, 110], [110, 90]], np.uint8)[..., None], (16, 16, 3))
    assert artifacts.colour_shift(_views(noise), _views(hr)) == [0.0]


def test_a_pattern_on_the_grid_is_seen_and_blur_is_not():
    hr = _scene()
    pattern = hr.copy()
    pattern[::4, ::4] = np.clip(pattern[::4, ::4].astype(int) + 60, 0, 255)
    plain, marked = (artifacts.checkerboard(_views(x), _views(hr))[0] for x in (hr, pattern))
    assert marked > 5 * plain
    assert artifacts.checkerboard(Views([View(hr, 0)]), _views(hr)) == [0.0]
    assert artifacts.checkerboard(_views(np.full((32, 32, 3), 9, np.uint8)), _views(hr)) == [0.0]


@pytest.mark.parametrize("scale", [2, 4])
def test_a_screen_door_of_two_pixels_is_seen_at_every_scale(scale):
    """Each grid position has as much detail as its neighbours: only its sign repeats."""
    hr = _scene(154, 7)
    door = np.indices(hr.shape[:2]).sum(axis=0) % 2 * 10 - 5
    marked = np.clip(hr.astype(int) + door[..., None], 0, 255).astype(np.uint8)
    plain, seen = (artifacts.grid_detail(Views([View(x, scale)]), None)[0] for x in (hr, marked))
    assert seen > 3 * plain and seen > 0.3
    flat = np.clip(128 + door[..., None].repeat(3, 2), 0, 255).astype(np.uint8)
    assert artifacts.grid_detail(Views([View(flat, scale)]), None)[0] == pytest.approx(1.0, abs=0.05)
    bands = named(4, 65_535)  # of equal bands, so as much as their luminance
    many = [np.repeat(luma(x)[..., None], 4, axis=2).astype(np.uint16) for x in (hr, marked)]
    of_bands = [artifacts.grid_detail(Views([View(x, scale, format=bands)]), None)[0] for x in many]
    assert of_bands == pytest.approx([plain, seen])
    assert artifacts.grid_detail(Views([View(hr, 0)]), None) == [0.0]
    assert artifacts.grid_detail(Views([View(np.full((32, 32, 3), 9, np.uint8), scale)]), None) == [0.0]


def test_half_the_contrast_is_one_octave_of_sharpness():
    hr = _scene()
    soft = (hr // 2 + 64).astype(np.uint8)
    assert artifacts.sharpness_gap(_views(soft), _views(hr))[0] == pytest.approx(1.0, abs=0.02)
    assert artifacts.sharpness_gap(_views(hr), _views(soft))[0] == pytest.approx(1.0, abs=0.02)
    assert artifacts.sharpness_gap(_views(hr), _views(hr)) == [0.0]
