"""NIQE: the pieces of its formula on data of known distribution, and a model that scores itself zero."""

import numpy as np
import pytest
from helpers.weights import publish

from trainers.metrics import niqe
from trainers.metrics.image_view import View, Views
from trainers.weights import WEIGHTS


@pytest.fixture
def pristine(tmp_path, monkeypatch):
    """Return a function that stores a model under the published name."""

    def store(mean, covariance):
        window = np.outer(*[np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))] * 2)
        path = tmp_path / WEIGHTS["niqe_model"].file
        np.savez(
            path, mu_pris_param=mean[None], cov_pris_param=covariance, gaussian_window=window / window.sum()
        )
        publish(monkeypatch, tmp_path, "niqe_model")
        niqe._pristine.cache_clear()

    yield store
    niqe._pristine.cache_clear()


def photograph(side=192, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.normal(0, 30, (side // 8, side // 8)), np.ones((8, 8)))
    return np.clip(128 + smooth + rng.normal(0, 12, (side, side)), 16, 235).astype(np.uint8)


def test_halving_keeps_a_constant_and_a_ramp():
    assert np.allclose(niqe.halve(np.full((16, 12), 7.0)), 7.0)
    ramp = np.tile(np.arange(64.0), (16, 1))
    assert np.allclose(niqe.halve(ramp)[:, 4:-4], ramp[:8, 8:-8:2] + 0.5)


@pytest.mark.parametrize("kind", ["normal", "laplace"])
def test_the_fit_finds_the_shape_of_a_known_distribution(kind):
    x = getattr(np.random.default_rng(0), kind)(size=400_000)
    shape, left, right = niqe._asymmetric_gaussian(x)
    assert shape == pytest.approx({"normal": 2.0, "laplace": 1.0}[kind], rel=0.03)
    assert left == pytest.approx(right, rel=0.02)


def test_an_image_that_is_its_own_model_has_the_value_zero_and_noise_has_more(pristine):
    pristine(np.zeros(36), np.eye(36))
    view = View(photograph())
    own = niqe.features(view.y)
    assert own.shape == (4, 36)
    pristine(own.mean(axis=0), np.cov(own, rowvar=False))
    noise = View(np.random.default_rng(1).integers(16, 236, (192, 192), dtype=np.uint8))
    assert niqe.niqe_of(view) == pytest.approx(0, abs=1e-9) and niqe.niqe_of(noise) > 1
    assert niqe.niqe(Views([noise, view]), Views([])) == [niqe.niqe_of(noise), niqe.niqe_of(view)]
