"""Every recipe is whole: it says where it comes from, builds its networks, and trains a step."""

import pytest
import torch
from helpers.tiny import batch, small_recipe

from datasets.errors import UserError
from experiments import recipes
from trainers.config import digest, flatten, from_flat, override
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
DIGESTS = {
    "demo": "197c359385a0966c",
    "srcnn_915": "05effb1a28018ef1",
    "srcnn_915_fast": "e3e96a02b816cd61",
    "srcnn_955": "7ec1584e0ec553dd",
    "srcnn_955_rgb": "a87beb0cb1914653",
    "srresnet": "993502a300234895",
    "srresnet_vgg22": "347b42c40709f49f",
    "srgan_mse": "f9787e2ec524570c",
    "srgan_vgg22": "2df5c4304deb9998",
    "srgan_vgg54": "4ea033d04cb674e1",
    "srgan_8": "2bb1cbd4977cbc9d",
    "srgan_leftthomas": "ed22b7cfed044c64",
    "srgan_transposed": "826ed4b43a3cdf5f",
    "staged_upsampler": "33cd02a3501143c2",
    "staged_upsampler_2": "62a30d8ac5c58246",
    "staged_upsampler_3": "b9d6656cf6f3f6db",
    "colorize": "1cf7b4ff4aff2c46",
    "edges_to_photo": "45f4f4c709ef2441",
    "esrgan": "83f2ea1e16f85868",
    "esrgan_16": "1939fb1a68f32eac",
    "esrgan_16_x2": "34f318016d67efdc",
    "esrgan_seed": "4898d7a62ff45581",
    "miniature_matrix": "51a3b271a0cbf747",
    "miniature_colorize": "32ea06ddead52686",
    "miniature_edges": "eb322d272378fb16",
    "miniature_upsampler": "930b59728e82a531",
    "miniature_plane": "25b72d541ed2c3f2",
    "miniature_review": "39dd865e8d494474",
}
"""Of every setting: a recipe that changes its numbers gets a new name, since results quote the old one."""


def test_no_number_of_any_recipe_changes():
    assert {name: digest(flatten(build())) for name, build in recipes.RECIPES.items()} == DIGESTS


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_names_itself_its_source_and_survives_json(name):
    config = recipes.build(name)
    assert config.recipe == name and len(recipes.RECIPES[name].__doc__.strip()) > 40
    assert from_flat(flatten(config)) == config


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_trains_one_step_of_each_of_its_phases(name):
    config = small_recipe(recipes.build(name))
    side, scale = config.data.crop_px, config.generator.scale
    hr, _ = batch(count=2, side=side)
    lr_image = torch.nn.functional.avg_pool2d(hr, scale)
    lengths = {"psnr": config.run.psnr_steps, "gan": config.run.gan_steps}
    for phase in (p for p in lengths if lengths[p]):
        state = new_state(config, phase, CPU)
        step = TrainStep(config, state, build_features(config, CPU) if phase == "gan" else None)
        step(hr, lr_image)
        step.check()
        assert step.images[0].shape == hr.shape


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("srcnn_915", {"generator.norm": "batch"}, "generator.norm must be none"),
        ("esrgan", {"data.crop_px": 96}, "discriminator.image_px must equal data.crop_px=96"),
        (
            "srgan_8",
            {"loss.adversarial": "wgan_gp", "loss.gradient_penalty_weight": 10.0},
            "set discriminator.norm",
        ),
        ("srgan_8", {"loss.adversarial": "linear", "loss.label_smoothing": 0.1}, "linear has no labels"),
        ("srgan_8", {"generator.scale": 3}, "data.crop_px must be a multiple of generator.scale=3"),
        ("colorize", {"generator.upsampler": "interp_transposed"}, "interp_transposed needs two doublings"),
    ],
)
def test_combinations_that_cannot_work_are_refused_in_one_sentence(name, values, message):
    with pytest.raises(UserError, match=message) as refused:
        override(recipes.build(name), values)
    assert "\n" not in str(refused.value)


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(UserError, match="no recipe 'srgan8'.*did you mean 'srgan_8'"):
        recipes.build("srgan8")
