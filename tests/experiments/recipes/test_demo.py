"""The demo needs no download and only a few hundred steps."""

from experiments.recipes.demo import demo
from trainers.config import digest, flatten
from trainers.metrics import METRICS


def test_the_demo_needs_no_download():
    config = demo()
    assert config.data.train == "demo" and config.loss.content_weight == 0
    assert not METRICS[config.objective.perceptual].needs
    assert config.run.psnr_steps + config.run.gan_steps <= 600


def test_two_demos_are_equal():
    assert digest(flatten(demo())) == digest(flatten(demo()))
