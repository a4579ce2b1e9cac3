"""Recipes of one's own photographs: the loss and the measure that installed weights allow, never shared."""

import pytest

from experiments.recipes import photos
from trainers import weights
from trainers.config.loss import PERCEPTUAL_LOSSES

EVERY = set(weights.WEIGHTS)


@pytest.mark.parametrize(
    ("installed", "network", "metric"),
    [
        (EVERY, "vgg19", "dists"),
        (EVERY - {"vgg19"}, "vgg16", "lpips_alex"),
        ({"vgg16", "dists_alpha_beta"}, "", "dists"),
        ({"vgg19"}, "", "swd"),
        (set(), "", "swd"),
    ],
)
@pytest.mark.parametrize("build", [photos.photos, photos.photos_small])
def test_loss_and_measure_follow_the_installed_weights(monkeypatch, build, installed, network, metric):
    monkeypatch.setattr(weights, "missing", lambda names: [n for n in names if n not in installed])
    config = build()
    assert config.objective.perceptual == metric
    assert config.loss.published_networks == ({network} if network else set())
    assert bool(config.loss.content_weight) == bool(network)
    assert config.loss.pixel_weight == (0.1 if network else 1.0)


def test_no_pair_shares_weights():
    assert all(PERCEPTUAL_LOSSES.get(metric) != network for network, metric in photos.MEASURES)
