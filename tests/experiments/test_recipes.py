"""Every recipe is whole: it says where it comes from, builds its networks, and trains a step."""

import pytest
import torch
from helpers.tiny import batch

from datasets.errors import UserError
from experiments import recipes
from experiments.recipes import srgan
from trainers.config import digest, flatten, from_flat, override
from trainers.models import build_generator
from trainers.state import new_state
from trainers.train_step import TrainStep, build_features

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


def small(config):
    """The recipe with few channels and blocks, on small crops, and VGG with random weights."""
    values = {"loss.content_weights": "random", "data.batch_size": 2, "data.crop_px": 32}
    values |= {"discriminator.base_channels": 4, "generator.channels": 8}
    if config.discriminator.kind in ("paper", "esrgan"):
        values["discriminator.image_px"] = 32
    if config.discriminator.kind == "esrgan":
        values["discriminator.num_layers"] = 6
    if config.generator.scale == 3:
        values["data.crop_px"] = 33
        values["discriminator.image_px"] = 33
    if not config.generator.kind.startswith("srcnn"):
        values["generator.num_blocks"] = 1
    return override(config, values)


def test_no_number_of_any_recipe_changes():
    assert {name: digest(flatten(build())) for name, build in recipes.RECIPES.items()} == DIGESTS


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_names_itself_its_source_and_survives_json(name):
    config = recipes.build(name)
    assert config.recipe == name and len(recipes.RECIPES[name].__doc__.strip()) > 40
    assert from_flat(flatten(config)) == config


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_trains_one_step_of_each_of_its_phases(name):
    config = small(recipes.build(name))
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
    ("name", "parameters"),
    [
        ("srcnn_915", 8_129),
        ("srcnn_955", 57_281),
        ("srcnn_955_rgb", 69_251),
        ("srresnet", 1_547_350),
        ("srgan_leftthomas", 734_219),
        ("esrgan_16", 11_662_019),
        ("esrgan", 16_697_987),
    ],
)
def test_generators_have_the_published_number_of_parameters(name, parameters):
    with torch.device("meta"):
        generator = build_generator(recipes.build(name).generator)
    assert sum(p.numel() for p in generator.parameters()) == parameters


def test_weights_stand_in_the_papers_units():
    """leftthomas and ESRGAN measure pixels on [0, 1]: l2 there is a quarter, l1 a half of ours."""
    from trainers.losses import pixel_loss

    hr = torch.zeros(1, 3, 4, 4)
    sr = hr + 0.1
    left, esrgan = (recipes.build(n).loss for n in ("srgan_leftthomas", "esrgan"))
    assert left.pixel_weight * pixel_loss("l2", sr, hr) == pytest.approx(0.1**2)
    assert esrgan.pixel_weight * pixel_loss("l1", sr, hr) == pytest.approx(1e-2 * 0.1)


def test_a_stage_keeps_what_fits_of_the_one_before(tmp_path):
    from helpers.tiny import Loader, Measure

    from trainers import checkpoint
    from trainers.monitor import FolderMonitor
    from trainers.training import TrainingRun

    first, second = (small(srgan.staged_upsampler(stage)) for stage in (1, 2))
    before = new_state(first, "gan", CPU)
    folder = checkpoint.save(tmp_path / "first", first, before)

    def start(config):
        return TrainingRun(
            config, Loader(), Measure(), FolderMonitor(tmp_path / "run", config), CPU
        ).initial_state()

    fresh, kept = start(second), start(override(second, {"run.start_from": str(folder)}))
    old, new, drawn = (s.generator.state_dict() for s in (before, kept, fresh))
    assert all(torch.equal(new[k], old[k]) for k in new if k.startswith(("head", "blocks", "tail")))
    replaced = [k for k in new if k not in old or old[k].shape != new[k].shape]
    assert replaced and all(torch.equal(new[k], drawn[k]) for k in replaced)
    other = override(second, {"run.start_from": str(folder), "generator.channels": 16})
    with pytest.raises(UserError, match="nothing in .*first fits this generator; change run.start_from"):
        start(other)


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
