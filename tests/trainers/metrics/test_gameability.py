"""Manipulations are what their names say, and a metric that they better is shown as deceived."""

import numpy as np
import pytest

from trainers.metrics.gameability import MANIPULATIONS, eight_bit, gains


@pytest.fixture(scope="module")
def step():
    """A vertical edge between two greys, float (32, 32, 3)."""
    image = np.full((32, 32, 3), 60.0)
    image[:, 16:] = 180
    return image


def test_noise_and_checkerboards_have_the_strength_that_they_name(step):
    for sigma in (2, 15):
        difference = MANIPULATIONS[f"noise {sigma}"](step) - step
        assert difference.std() == pytest.approx(sigma, rel=0.05) and abs(difference.mean()) < sigma / 10
    two, four = (MANIPULATIONS[f"checkerboard {p} px, 3"](step) - step for p in (2, 4))
    assert set(np.unique(two)) == set(np.unique(four)) == {-3.0, 3.0}
    assert (two[0, ::2] == 3).all() and (two[0, 1::2] == -3).all() and (two[1, ::2] == -3).all()
    assert four[0, :4, 0].tolist() == [3, 3, -3, -3] and four[2, :4, 0].tolist() == [-3, -3, 3, 3]


def test_sharpening_overshoots_blur_does_not_and_an_ideal_low_pass_rings(step):
    assert (
        MANIPULATIONS["unsharp 1"](step).max() > 185
        and np.ptp(MANIPULATIONS["unsharp 1"](step)[:, :8]) < 1e-6
    )
    assert MANIPULATIONS["blur 1"](step).max() <= 180 + 1e-9
    ringing = MANIPULATIONS["ringing 0.2"](step)
    assert ringing.max() > 185 and np.abs(ringing[16, 4:9] - 60).max() > 1


def test_jpeg_and_casts(step):
    shifted = np.roll(step, 3, axis=1)  # an edge inside the blocks of 8 px
    coarse, fine = (np.abs(MANIPULATIONS[f"JPEG {q}"](shifted) - shifted).mean() for q in (50, 90))
    assert 0 < fine < coarse
    assert (MANIPULATIONS["cast red 4"](step) - step)[0, 0].tolist() == [4, 0, -4]
    assert eight_bit(np.array([-3.0, 254.6, 300.0])).tolist() == [0, 255, 255]


def test_a_gain_is_positive_where_the_metric_prefers_the_changed_image():
    rng = np.random.default_rng(0)
    target = rng.integers(40, 216, (2, 48, 48, 3), dtype=np.uint8)
    smooth = [eight_bit(MANIPULATIONS["blur 1"](t.astype(float))) for t in target]
    found = gains(["psnr_y", "rmse_y"], smooth, {"target, nearly": list(target ^ 1)}, list(target), 4)
    assert found["target, nearly"]["psnr_y"] > 1 and found["target, nearly"]["rmse_y"] > 0.9
    assert found["unsharp 0.5"]["psnr_y"] > 0, "sharpening undoes some of the blur"
    assert found["noise 15"]["psnr_y"] < 0 > found["noise 15"]["rmse_y"]
    assert len(found) == len(MANIPULATIONS) + 1
