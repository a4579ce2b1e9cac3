"""EfficientNet-lite0: its size, its padding, the classes of two photographs, distances of its features."""

import numpy as np
import pytest
import torch
from helpers.weights import publish
from skimage import data

from trainers import weights
from trainers.metrics import extractors, frechet
from trainers.metrics.efficientnet import EfficientNetLite0, _Conv
from trainers.metrics.image_view import View, Views


def test_it_has_the_published_number_of_parameters_and_features():
    network = EfficientNetLite0().eval()
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    images = torch.randint(0, 256, (2, 3, 40, 30), dtype=torch.uint8)
    with torch.inference_mode():
        assert network(images).shape == (2, 1280)


def test_the_odd_pixel_of_the_padding_is_at_the_right_and_the_bottom():
    conv = _Conv(1, 1, 3, 2)
    torch.nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, 4, 4))
    assert out[0, 0].tolist() == [[9, 6], [6, 4]]


@pytest.mark.skipif(
    bool(weights.missing(["efficientnet_lite0"])), reason="run upsweep weights efficientnet_lite0"
)
def test_published_weights_know_a_cat_and_an_espresso():
    network = extractors.load_extractor("efficientnet", torch.device("cpu"))
    for picture, label, share in ((data.chelsea(), 285, 0.39), (data.coffee(), 967, 0.94)):
        side, left = len(picture), (picture.shape[1] - len(picture)) // 2
        square = torch.from_numpy(picture[:, left : left + side].copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            found = network.classify(square)[0]
        assert found.argmax() == label and found[label] == pytest.approx(share, abs=0.01)


def test_distances_are_zero_for_equal_sets_and_of_64_projections_for_few_images(tmp_path, monkeypatch):
    torch.manual_seed(0)
    publish(monkeypatch, tmp_path, "efficientnet_lite0", EfficientNetLite0().state_dict())
    extractors.load_extractor.cache_clear()
    rng = np.random.default_rng(0)
    a, b = (Views(View(i) for i in rng.integers(256, size=(3, 24, 24, 3), dtype=np.uint8)) for _ in range(2))
    assert frechet.fd_efficientnet(a, a) == pytest.approx(0, abs=1e-9) and frechet.fd_efficientnet(a, b) > 0
    x, y = (frechet.features(views, "efficientnet") for views in (a, b))
    assert frechet.kd_efficientnet(a, b) == frechet.kernel_distance(x, y)
    extractors.load_extractor.cache_clear()
    x = rng.normal(size=(200, 1280))
    assert frechet.projected_frechet(x, x + 1.0) < frechet.frechet(x, x + 1.0), "a projection shortens"
    small = rng.normal(size=(50, 8))
    assert frechet.projected_frechet(small, small * 2) == pytest.approx(frechet.frechet(small, small * 2))
