"""Miniatures keep the task of their study and stay within minutes of a CPU."""

import pytest

from experiments import recipes
from experiments.common.study_command import RECIPES


@pytest.mark.parametrize(
    ("full", "small"), sorted(set(RECIPES.values()) - {("esrgan_16_x2", "miniature_review")})
)
def test_a_miniature_has_the_task_of_its_study_and_fewer_steps(full, small):
    study, miniature = recipes.build(full), recipes.build(small)
    assert miniature.data.input == study.data.input and miniature.generator.scale == study.generator.scale
    most = 1560 if small == "miniature_plane" else 840  # a short GAN phase does not move its perception
    assert miniature.run.psnr_steps + miniature.run.gan_steps <= most
    assert miniature.generator.channels <= 32 < study.generator.channels


@pytest.mark.parametrize("name", [n for n in recipes.RECIPES if n.startswith("miniature_")])
def test_a_miniature_uses_published_weights_only_where_they_are_installed(name, monkeypatch):
    monkeypatch.setattr("trainers.weights.missing", list)  # all that are asked for
    loss = recipes.build(name).loss
    assert loss.content_weight == 0 or loss.content_weights == "random"
    monkeypatch.setattr("trainers.weights.missing", lambda names: [])
    loss = recipes.build(name).loss
    assert loss.content_weight == 0 or (loss.content_network, loss.content_weights) == ("vgg16", "imagenet")
