"""PSNR, RMSE and SSIM against numbers that can be worked out and against scikit-image."""

import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from trainers.metrics import distortion
from trainers.metrics.image_view import View, Views


def _noise(shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def test_a_constant_error_has_the_psnr_of_the_formula():
    a = np.full((20, 30), 100, np.uint8)
    assert distortion.psnr(a, a + 10) == pytest.approx(10 * math.log10(255**2 / 100), abs=1e-12)
    assert distortion.psnr(a, a) == math.inf


def test_the_border_is_shaved_before_anything_is_measured():
    hr = _noise((32, 40, 3))
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    views = Views([View(sr, 4)]), Views([View(hr, 4)])
    assert distortion.psnr_y(*views) == [math.inf]
    assert distortion.psnr_rgb(*views) == [math.inf]
    assert distortion.rmse_y(*views) == [0.0]
    assert distortion.ssim_y(*views) == [1.0]


def test_luminance_that_is_not_rounded_sees_a_change_that_rounding_hides():
    hr = np.full((24, 24, 3), 100, np.uint8)
    sr = hr.copy()
    sr[..., 2] += 1
    views = Views([View(sr, 4)]), Views([View(hr, 4)])
    assert distortion.psnr_y(*views) == [math.inf]
    assert distortion.psnr_y_float(*views) == [pytest.approx(20 * math.log10(255 / (24.966 / 255)))]
    assert distortion.ssim_y_float(*views)[0] < 1.0 == distortion.ssim_y(*views)[0]


@pytest.mark.parametrize("shape", [(11, 11), (37, 53), (128, 96)])
def test_ssim_equals_scikit_image(shape):
    a, b = _noise(shape, 1), _noise(shape, 2)
    b = (0.7 * a + 0.3 * b).astype(np.uint8)
    oracle = structural_similarity(
        a.astype(float),
        b.astype(float),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert distortion.ssim(a, b) == pytest.approx(oracle, abs=1e-10)


def test_a_process_that_computes_wrongly_records_no_ssim(monkeypatch):
    """Windows whose weights do not sum to 1 gave values of 3 and of -11, which stood in a table."""
    smooth = (128 + _noise((40, 40)) // 16).astype(np.uint8)
    other = (128 + _noise((40, 40), 1) // 16).astype(np.uint8)
    assert abs(distortion.ssim(smooth, other)) < 1
    wrong = tuple(1.05 * weight for weight in distortion._HALF_WINDOW)
    monkeypatch.setattr(distortion, "_HALF_WINDOW", wrong)
    with pytest.raises(RuntimeError, match="this process computes wrongly"):
        distortion.ssim(smooth, other)


def test_shapes_must_agree_and_hold_a_window():
    with pytest.raises(ValueError, match="same shape"):
        distortion.psnr(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        distortion.ssim(np.zeros((10, 20), np.uint8), np.zeros((10, 20), np.uint8))


def test_ms_ssim_of_scaled_images_is_the_product_of_its_scales():
    a, b = _noise((176, 190), 1), _noise((176, 190), 2)
    b = (0.8 * a + 0.2 * b).astype(np.uint8)
    assert distortion.ms_ssim(a, a) == pytest.approx(1.0, abs=1e-12)
    x, y, value = a.astype(float), b.astype(float), 1.0
    for i, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        kwargs = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
        whole = structural_similarity(x, y, **kwargs)
        # With K1 huge the luminance factor is 1 and contrast and structure are left.
        contrast = structural_similarity(x, y, K1=1e6, **kwargs)
        value *= (whole if i == 4 else contrast) ** weight
        x, y = (v[: len(v) // 2 * 2, : v.shape[1] // 2 * 2] for v in (x, y))
        x, y = (v.reshape(len(v) // 2, 2, -1, 2).mean(axis=(1, 3)) for v in (x, y))
    assert distortion.ms_ssim(a, b) == pytest.approx(value, abs=1e-8)


def test_ms_ssim_refuses_what_its_last_window_does_not_fit():
    with pytest.raises(ValueError, match="at least 176 pixels"):
        distortion.ms_ssim(np.zeros((175, 300), np.uint8), np.zeros((175, 300), np.uint8))
