"""Metrics of the studies against values by hand and an independent SSIM."""

import numpy as np
import pytest

from orchestrator.studies.extra_metrics import (
    chroma_border,
    chroma_centre,
    chroma_error,
    saturation,
    ssim_misread,
    ssim_rgb,
)


def test_chroma_error_by_hand():
    grey, red = np.full((16, 16, 3), 100, np.uint8), np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 100
    cb, cr = -0.299 * 100 * 0.564, 0.701 * 100 * 0.713
    assert chroma_error(red, grey) == pytest.approx(np.sqrt((cb**2 + cr**2) / 2), rel=1e-6)
    assert saturation(grey, red) == 0 and saturation(red, red) == 1
    framed = grey.copy()
    framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = (100, 0, 0)
    assert chroma_centre(framed, grey) == 0 < chroma_border(framed, grey)


def test_rows_read_as_channels_raise_ssim_of_the_same_images():
    rng = np.random.default_rng(0)
    low = rng.integers(60, 200, size=(8, 8, 3))
    real = np.kron(low, np.ones((8, 8, 1))).astype(np.uint8)
    made = np.clip(real + rng.normal(0, 12, real.shape), 0, 255).astype(np.uint8)
    assert ssim_rgb(real, real) == pytest.approx(1, abs=1e-4)
    assert ssim_misread(real, real) == pytest.approx(1, abs=1e-4)
    assert ssim_misread(made, real) > ssim_rgb(made, real) + 0.05


def test_ssim_equals_an_independent_one_away_from_the_border():
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(1)
    real = rng.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    made = np.clip(real.astype(int) + rng.integers(-20, 21, real.shape), 0, 255).astype(np.uint8)
    other = structural_similarity(
        made / 255,
        real / 255,
        channel_axis=2,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim_rgb(made, real) == pytest.approx(other, abs=0.01)
