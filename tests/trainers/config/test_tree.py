"""Settings: one dotted name each, checked as a whole, with the nearest name for a slip."""

import dataclasses
import json

import pytest
from helpers.tiny import tiny

from datasets.errors import UserError
from trainers.config import OptimConfig, RunConfig, TrainConfig, digest, flatten, from_flat, override


def test_a_config_survives_json_and_back():
    config = tiny(optim__milestones=(0.25, 0.5), optim__lr_g=1e-3)
    assert from_flat(json.loads(json.dumps(flatten(config)))) == config


def test_every_leaf_has_a_dotted_name_and_a_line_that_explains_it():
    import inspect

    names = flatten(TrainConfig())
    assert {"generator.num_blocks", "optim.lr_g", "loss.adversarial_weight", "data.train", "recipe"} <= set(
        names
    )
    for section in (OptimConfig, RunConfig):
        source = inspect.getsource(section)
        for field in dataclasses.fields(section):
            after = source.split(f"    {field.name}: ")[1].split("\n")[1]
            assert after.strip().startswith('"""'), field.name


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("generator.num_block", 5, "no setting 'generator.num_block'; did you mean 'generator.num_blocks'"),
        ("generator.num_blocks", "five", "generator.num_blocks must be int, but got 'five'"),
        ("generator.num_blocks", True, "generator.num_blocks must be int, but got True"),
        ("optim.lr_g", "fast", "optim.lr_g must be float, but got 'fast'"),
        ("optim.lr_g", 0.0, "optim.lr_g must be above 0, but got 0.0"),
        ("optim.lr_tail_factor", 0.0, "optim.lr_tail_factor must be above 0"),
        ("optim.kind", "adamax", "no optimizer 'adamax'; known: adam, adamw, sgd"),
        ("optim.gan_schedule", "warm", "no schedule 'warm'; known: constant, cosine"),
        ("optim.update_order", "g_first", "no update order 'g_first'; known: d_first, simultaneous"),
        ("optim.milestones", [1.5], "optim.milestones are fractions between 0 and 1"),
        ("optim.beta1", 1.0, r"optim.beta1 must be in \[0, 1\), but got 1.0"),
        ("optim.period", 0.0, r"optim.period must be in \(0, 1\], but got 0.0"),
        ("optim.clip_norm", -1.0, "optim.clip_norm must be at least 0"),
        ("optim.clip_norm", float("nan"), "optim.clip_norm must be a finite number, but got nan"),
        ("optim.lr_g", float("inf"), "optim.lr_g must be a finite number, but got inf"),
        ("run.seed", 2**32, "run.seed must be below 2.*32, but got 4294967296"),
        ("run.seed", -1, "run.seed must be at least 0, but got -1"),
        ("optim.micro_batches", 3, "data.batch_size=4 must be a multiple of optim.micro_batches=3"),
        ("run.precision", "fp16", "no precision 'fp16'; known: bf16, fp32, tf32"),
        ("run.ema_decay", 1.0, r"run.ema_decay must be in \[0, 1\), but got 1.0"),
        ("run.log_every_steps", 0, "run.log_every_steps must be at least 1, but got 0"),
        ("data.crop_px", 18, "data.crop_px must be a multiple of generator.scale=4, but got 18"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_dotted_name(name, value, message):
    with pytest.raises(UserError, match=message):
        override(tiny(), {name: value})


def test_whole_numbers_become_floats_where_a_float_is_meant():
    config = override(tiny(), {"optim.lr_g": 1, "run.psnr_steps": 10.0})
    assert config.optim.lr_g == 1.0 and isinstance(config.optim.lr_g, float)
    assert config.run.psnr_steps == 10 and isinstance(config.run.psnr_steps, int)


def test_an_override_checks_across_sections():
    with pytest.raises(UserError, match="discriminator.image_px must equal data.crop_px=16"):
        override(tiny(), {"discriminator.kind": "paper"})


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny().run.seed = 3


def test_the_digest_is_of_the_content_and_not_of_its_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert len(digest({})) == 16
