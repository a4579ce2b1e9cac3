"""Every recipe is whole: it says where it comes from, builds its networks, and trains a step."""

import pytest
import torch
from helpers.tiny import batch, small_recipe

from datasets.errors import UserError
from experiments import recipes
from trainers.config import TrainConfig, digest, flatten, from_flat, override
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
DIGESTS = {
    "demo": "9bfd34224d29d5d3",
    "srcnn_915": "7142f5c1d5b5927d",
    "srcnn_915_fast": "6636c34825dd6602",
    "srcnn_955": "d01a904bfa56482a",
    "srcnn_955_rgb": "4030e3e7c0965592",
    "srresnet": "88fca456950952b7",
    "srresnet_vgg22": "530de6f6326b76f3",
    "srgan_mse": "cc81a43e860af5ca",
    "srgan_vgg22": "e0bdcf16b1c0a56a",
    "srgan_vgg54": "ac0fd450af035c9a",
    "srgan_8": "1a2e03b2ff070a3f",
    "srgan_leftthomas": "46a3a032734a7bb5",
    "srgan_transposed": "8dd49097e8f28ed2",
    "staged_upsampler": "ad437814e155575b",
    "staged_upsampler_2": "b0b1d9c0c2d8631e",
    "staged_upsampler_3": "1b6f8676c4a305a5",
    "colorize": "96f6bccf3c27b6e9",
    "edges_to_photo": "62316c194cc020e7",
    "esrgan": "45d64b41a15048d6",
    "esrgan_code": "b4772b21832595ac",
    "esrgan_16": "abee56b9c5991c29",
    "esrgan_16_x2": "1cf71b8c0db1495a",
    "esrgan_seed": "80d1d6c658c3c8d6",
    "miniature_matrix": "cad281fdb821ba81",
    "miniature_colorize": "d1014bf67d0f5aab",
    "miniature_edges": "e3cc3afcfbccdfab",
    "miniature_upsampler": "da88c15e9757fe4b",
    "miniature_plane": "0479f4ddb1441623",
    "miniature_review": "dbb39f569da0acbe",
}
"""Of the settings that differ from the default: a recipe that changes its numbers gets a new name, because
results quote the old one. A new setting changes none of these, if its default changes no recipe."""
DEFAULTS = "0aa05e05c5c3d6e5"
"""Of the defaults of networks, losses and optimizers, which recipes rely on; a new setting changes it."""


def own_settings(config):
    default = flatten(TrainConfig())
    return {name: value for name, value in flatten(config).items() if value != default[name]}


def test_no_number_of_any_recipe_changes(monkeypatch):
    monkeypatch.setattr("trainers.weights.missing", list)  # miniatures have random features without weights
    fixed = {name: build for name, build in recipes.RECIPES.items() if not name.startswith("photos")}
    assert {name: digest(own_settings(build())) for name, build in fixed.items()} == DIGESTS
    sections = ("generator.", "discriminator.", "loss.", "optim.")
    default = {n: value for n, value in flatten(TrainConfig()).items() if n.startswith(sections)}
    assert digest(default) == DEFAULTS


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
        (
            "photos_small",
            {"generator.scale": 1},
            "generator.scale 1 has no upsampling grid: set loss.grid_weight 0",
        ),
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
