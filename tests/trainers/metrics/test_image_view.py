"""Views: MATLAB's luma, shaved borders, grey images, and the cache of a set in memory and on disk."""

import numpy as np

from trainers.metrics.image_view import View, Views, luma


def _noise(shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def test_luma_of_black_white_and_primaries_is_matlabs():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    assert luma(colours).tolist() == [16, 235, 81, 145, 41]


def test_luma_equals_the_rounded_formula_everywhere():
    rgb = _noise((300, 300, 3))
    exact = 16 + (rgb @ np.array([65.481, 128.553, 24.966])) / 255
    assert np.abs(luma(rgb) - exact).max() <= 0.5 + 1e-9


def test_a_one_channel_image_is_its_own_luminance():
    grey = _noise((32, 32))
    assert np.array_equal(View(grey, 2).y, grey[2:-2, 2:-2])


def test_rgb_is_unshaved_and_repeats_a_grey_image():
    grey = _noise((6, 5))
    assert View(grey, 1).rgb.shape == (6, 5, 3) and (View(grey, 1).rgb == grey[..., None]).all()
    assert View(_noise((6, 5, 3)), 2).shaved.shape == (2, 1, 3)


def test_a_set_computes_a_value_once():
    views, calls = Views([View(_noise((4, 4)))]), []
    for _ in range(2):
        assert views.keep("key", lambda: calls.append(1) or 7) == 7
    assert calls == [1]
