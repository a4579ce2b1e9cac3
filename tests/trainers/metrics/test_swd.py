"""The sliced Wasserstein distance: 0 for equal sets, more for more damage, a known value for a known law."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from trainers.metrics import swd
from trainers.metrics.image_view import View, Views


def _scenes(n=16, side=64):
    """Images of smoothed noise: structure at every level of the pyramid."""
    rng = np.random.default_rng(0)
    small = rng.integers(256, size=(n, side // 4, side // 4, 3), dtype=np.uint8)
    fine = rng.normal(0, 20, (n, side, side, 3))
    large = np.stack([np.asarray(Image.fromarray(s).resize((side, side))) for s in small])
    return np.clip(large + fine, 0, 255).astype(np.uint8)


def _blurred(images, radius):
    return [np.asarray(Image.fromarray(i).filter(ImageFilter.GaussianBlur(radius))) for i in images]


def _views(images):
    return Views(View(i) for i in images)


def test_equal_sets_are_at_distance_zero():
    assert swd.swd(_views(_scenes()), _views(_scenes())) == 0.0


def test_more_blur_is_further_and_the_fine_level_sees_it_most():
    images = _scenes()
    hr = _views(images)
    distances = [swd.swd(_views(_blurred(images, r)), hr) for r in (0.5, 1, 2)]
    assert distances == sorted(distances) and distances[0] > 5
    levels = swd.by_level(_views(_blurred(images, 0.5)), hr)
    assert levels[0] > levels[-1]


def test_read_only_images_and_any_size_are_accepted():
    images = _scenes(16, 64)[:, :53, :61]
    images.setflags(write=False)
    assert swd.swd(_views(images), _views(images)) == 0.0


def test_gaussian_against_uniform_patches_has_the_distance_of_the_two_laws():
    """Along a coordinate axis the distance is that of the marginals: for a standard normal and a uniform law
    of unit variance E|q_normal(u) - q_uniform(u)| = 0.1577 by quadrature."""
    u = (np.arange(200_000) + 0.5) / 200_000
    from scipy.special import ndtri

    expected = np.abs(ndtri(u) - np.sqrt(12) * (u - 0.5)).mean()
    rng = np.random.default_rng(1)
    normal, uniform = rng.normal(3, 7, (4000, 3, 49)), rng.uniform(-9, 2, (4000, 3, 49))
    normal, uniform = (np.sort(swd.standardised(x, swd.norm_of(x))[:, 0]) for x in (normal, uniform))
    assert np.abs(normal - uniform).mean() == pytest.approx(expected, rel=0.08)


def test_the_pyramid_adds_up_to_the_image():
    x = torch.rand(1, 3, 64, 48)
    fine, coarse = swd.laplacian_pyramid(x, 2)
    grown = swd.grow(coarse, fine)
    assert torch.allclose(fine + grown, x, atol=1e-6)


def test_sets_must_be_equally_many_and_large_enough():
    with pytest.raises(ValueError, match="equally many"):
        swd.swd(_views(_scenes(3)), _views(_scenes(4)))
    with pytest.raises(ValueError, match="at least 16 pixels"):
        swd.swd(_views(_scenes(4, 12)), _views(_scenes(4, 12)))


def test_lost_contrast_counts_in_proportion():
    """Half the contrast around the mean leaves each sorted projection at half its size: the distance is half
    of what an image without any contrast is at."""
    rng = np.random.default_rng(2)
    patches = rng.normal(100, 20, (2000, 3, 49))
    norm = swd.norm_of(patches)
    target = swd.standardised(patches, norm)
    half = swd.standardised(norm[0] + (patches - norm[0]) / 2, norm)
    assert np.abs(target - half).mean() == pytest.approx(np.abs(target).mean() / 2)
