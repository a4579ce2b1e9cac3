"""Frechet and kernel distances against torch-fidelity and against laws whose distance is known."""

import numpy as np
import pytest
import torch
from helpers.weights import publish

from datasets.errors import UserError
from datasets.pixels import RGB8
from trainers.evaluate import Evaluator
from trainers.metrics import frechet
from trainers.metrics.image_view import View, Views
from trainers.weights import VARIABLE, WEIGHTS

NAME = WEIGHTS["inception"].file
FLOAT32 = 1e-5
"""Relative tolerance of distances whose features two networks computed in float32.

Memory layout (ours is channels_last) and the number of threads change the order of additions: features then
differ by up to 6e-7 of their size. Two images' features differ by only a twentieth of their size, so the
distance differs by more: torch-fidelity's own by 1.4e-6 between one thread and two.
"""


def _features(n, d, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d) + shift


def _images(n=6, side=32, seed=0):
    return list(np.random.default_rng(seed).integers(256, size=(n, side, side, 3), dtype=np.uint8))


def _views(images, **settings):
    return Views((View(i) for i in images), **settings)


@pytest.mark.parametrize(("n", "d"), [(200, 24), (30, 64)])
def test_both_distances_equal_torch_fidelity_on_the_same_features(n, d):
    fidelity = pytest.importorskip("torch_fidelity.metric_fid", reason="needs the metrics extra")
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = _features(n, d, 1), _features(n, d, 2, 0.5)
    stats = [fidelity.fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    theirs = fidelity.fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet.frechet(a, b) == pytest.approx(theirs, rel=1e-6)
    kid = kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=1, kid_subset_size=n, verbose=False
    )
    assert frechet.kernel_distance(a, b) == pytest.approx(kid["kernel_inception_distance_mean"], abs=1e-9)


def test_the_distance_of_shifted_and_scaled_features_is_the_formula():
    a = _features(500, 8, 3)
    assert frechet.frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet.frechet(a, a + 2.0) == pytest.approx(8 * 4.0, rel=1e-9)
    # N(m, S) against N(2m, 4S): |m|^2 + tr S.
    expected = (a.mean(axis=0) ** 2).sum() + np.trace(np.cov(a, rowvar=False))
    assert frechet.frechet(a, 2 * a) == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_dimensions_give_the_same_value_as_the_covariances():
    a, b = _features(40, 41, 4), _features(40, 41, 5)
    direct = frechet._trace_of_root(np.cov(a, rowvar=False), np.cov(b, rowvar=False))
    mean = a.mean(axis=0) - b.mean(axis=0)
    traces = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False))
    assert frechet.frechet(a, b) == pytest.approx(mean @ mean + traces - 2 * direct, rel=1e-6)


def test_the_kernel_distance_of_one_law_is_zero_on_average():
    values = [frechet.kernel_distance(*np.random.default_rng(s).normal(size=(2, 50, 8))) for s in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_features_of_different_length_or_single_images_are_refused():
    with pytest.raises(ValueError, match="at least two equally long"):
        frechet.frechet(_features(5, 3, 0), _features(5, 4, 0))
    with pytest.raises(ValueError, match="at least two equally long"):
        frechet.kernel_distance(_features(1, 3, 0), _features(5, 3, 0))


def test_features_stand_in_the_order_of_mixed_shapes_and_are_constant():
    images = [*_images(3, 32), *_images(2, 48), *_images(2, 32, 1)]
    together = frechet.features(_views(images), "random")
    alone = np.concatenate([frechet.features(_views([i]), "random") for i in images])
    assert together.shape == (7, 64) and np.allclose(together, alone, atol=1e-5)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Seeded random weights with the keys of the published file, which cannot be shipped."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="needs the extra")

    class Blank(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict):
            return None

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        network = Blank("random", ["2048"])
    for parameter in network.parameters():
        if parameter.ndim == 4:  # the drawn start would let the features fade to nothing
            torch.nn.init.kaiming_normal_(parameter)
    path = tmp_path_factory.mktemp("weights") / NAME
    torch.save(network.state_dict(), path)
    return path


def _through_inception(path, monkeypatch):
    """Made and real views, and torch-fidelity's features of both."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    publish(monkeypatch, path.parent, "inception")
    sets = _images(3, seed=1), _images(3, seed=2)
    oracle = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=path)
    theirs = [oracle(torch.from_numpy(np.stack(i)).permute(0, 3, 1, 2))[0].double() for i in sets]
    return [_views(images) for images in sets], theirs


def test_fid_and_kid_are_the_distances_of_inception_features(inception_file, monkeypatch):
    (sr, hr), theirs = _through_inception(inception_file, monkeypatch)
    a, b = (x.numpy() for x in theirs)
    for views, expected in ((sr, a), (hr, b)):
        assert np.abs(frechet.features(views, "inception") - expected).max() < 2e-6 * np.abs(expected).max()
    assert frechet.fid(sr, hr) == pytest.approx(frechet.frechet(a, b), rel=FLOAT32)
    assert frechet.kid(sr, hr) == pytest.approx(frechet.kernel_distance(a, b), rel=FLOAT32, abs=1e-8)


@pytest.mark.slow
def test_fid_of_2048_features_equals_torch_fidelity(inception_file, monkeypatch):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    (sr, hr), theirs = _through_inception(inception_file, monkeypatch)
    found = fid_statistics_to_metric(*map(fid_features_to_statistics, theirs), verbose=False)
    assert frechet.fid(sr, hr) == pytest.approx(found["frechet_inception_distance"], rel=FLOAT32)


def test_fid_without_weights_is_refused_by_the_evaluator(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    class Pair:
        format = RGB8
        key, hr, lr_image = "a", np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)

    with pytest.raises(UserError, match="fid is unavailable"):
        Evaluator([Pair()], ["fid"], scale=2)
