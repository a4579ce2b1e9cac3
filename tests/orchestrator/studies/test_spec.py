"""Trainings: their names, steps and seeds."""

from orchestrator.studies.spec import Training, seeded
from trainers.config import TrainConfig


def test_names_are_fit_for_folders():
    assert Training("SRGAN-VGG54, lr 1e-4", 3, TrainConfig(), (), ()).name == "srgan-vgg54-lr-1e-4-s3"


def test_a_seed_decides_weights_and_order_of_data():
    config = seeded(TrainConfig(), 7)
    assert (config.run.seed, config.data.order_seed) == (7, 7)
    assert Training("a", 7, config, (), ()).steps == config.run.psnr_steps + config.run.gan_steps
