"""The key of a PSNR phase: every setting either changes it or stands on the list of those that cannot."""

import json

import pytest
from helpers.tiny import tiny

from datasets.config import DataConfig
from datasets.errors import UserError
from trainers import warm_start_key
from trainers.config import GeneratorConfig, TrainConfig, flatten, override

BASE = TrainConfig(
    data=DataConfig(crop_px=96, input="edges"),
    generator=GeneratorConfig(kind="rrdb", scale=2, norm="none", num_blocks=2, unshuffle_input=False),
)
# name -> (settings to start from, another value); for the rest a value is made from the one there
OTHER = {
    "loss.extra": ({}, "mine.py:edge_loss-0123456789ab"),
    "loss.extra_weight": ({"loss.extra": "mine.py:edge_loss-0123456789ab"}, 0.5),
    "generator.kind": ({}, "srresnet"),
    "generator.size": ({"generator.kind": "compact", "generator.size": "conv16"}, "conv32"),
    "generator.norm": ({"generator.kind": "srresnet"}, "batch"),
    "generator.upsampler": ({}, "nearest_conv"),
    "generator.icnr": ({}, True),
    "generator.global_skip": ({}, "bicubic"),
    "generator.unshuffle_input": ({}, True),
    "generator.scale": ({}, 4),
    "generator.colors": (
        {"generator.kind": "srcnn_915", "generator.upsampler": "bicubic_input", "generator.num_blocks": 1},
        "y",
    ),
    "discriminator.kind": ({"discriminator.num_layers": 5}, "patch"),
    "discriminator.norm": ({}, "none"),
    "discriminator.activation": ({}, "prelu"),
    "data.bands": ({"data.input": "image", "loss.content_weight": 0.0}, ["a", "b", "c"]),
    "data.peak": ({"data.input": "image", "loss.content_weight": 0.0}, 4095),
    "data.mode": ({}, "streamed"),
    "data.degradation": ({}, "pil"),
    "data.input": ({}, "grey"),
    "data.train_degradation": ({"data.input": "image"}, "bsrgan"),
    "data.psnr_degradation": ({"data.input": "image"}, "bsrgan"),
    "data.crop_px": ({}, 128),
    "data.eval_crop_px": ({}, 32),
    "data.eval_crop_at": ({"data.eval_crop_px": 32}, "key"),
    "data.canny_low": ({}, 0.05),
    "loss.pixel": ({}, "l1"),
    "loss.pixel_colors": ({}, "y"),
    "loss.content_network": ({"loss.content_layer": "conv4_3"}, "vgg16"),
    "loss.content_layer": ({}, "conv2_2"),
    "loss.content_criterion": ({}, "l1"),
    "loss.perceptual": ({}, "lpips_vgg"),
    "loss.adversarial": ({}, "hinge"),
    "loss.gradient_penalty_weight": (
        {
            "loss.adversarial": "wgan_gp",
            "loss.gradient_penalty_weight": 10.0,
            "discriminator.norm": "none",
        },
        5.0,
    ),
    "loss.label_smoothing": ({}, 0.1),
    "optim.psnr_schedule": ({}, "cosine"),
    "optim.gan_schedule": ({}, "cosine"),
    "optim.milestones": ({}, [0.25]),
    "optim.kind": ({}, "sgd"),
    "optim.momentum": ({"optim.kind": "sgd"}, 0.5),
    "optim.period": ({"optim.psnr_schedule": "step"}, 0.5),
    "optim.update_order": ({}, "simultaneous"),
    "run.precision": ({}, "bf16"),
    "run.ema_decay": ({}, 0.5),
    "run.device": ({}, "cpu"),
}
NOT_ALONE = {"run.start_from", "generator.image_channels", "discriminator.image_channels"}
"""The two numbers of channels must equal the number of data.bands, so that no run differs in them alone."""
CANNOT_MATTER = {
    "recipe",
    "data.train",  # its images' digest is in the key
    "data.val",
    "data.test",
    "data.gate",
    "data.eval_images",
    "data.eval_crop_px",
    "data.eval_crop_at",
    "data.cache_gb",  # describes the machine
    "optim.lr_g",
    "optim.lr_d",
    "optim.gan_schedule",
    "optim.update_order",
    "run.gan_steps",
    "run.eval_every_steps",
    "run.psnr_eval_every_steps",
    "run.log_every_steps",
    "run.checkpoint_every_steps",
    "run.cuda_graph",
    "run.deterministic",
    "run.device",
    "run.threads",
}
SECTIONS_THAT_CANNOT = ("discriminator.", "objective.", "loss.")
MATTER_ALL_THE_SAME = {"loss.pixel", "loss.pixel_colors"}


def another(name, value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return type(value)(value + 1) if value or isinstance(value, int) else 0.5
    return f"{value}-other"


@pytest.mark.parametrize("name", sorted(set(flatten(BASE)) - NOT_ALONE))
def test_every_setting_changes_the_key_or_is_known_not_to_matter(name):
    start, value = OTHER.get(name, ({}, None))
    before = override(BASE, start)
    if value is None:
        value = another(name, flatten(before)[name])
        if name in ("optim.beta1", "optim.beta2", "optim.gamma"):
            value = 0.77
        if name == "generator.growth":
            value = 16
    after = override(before, {name: value})
    cannot = (
        name in CANNOT_MATTER or name.startswith(SECTIONS_THAT_CANNOT) and name not in MATTER_ALL_THE_SAME
    )
    same = warm_start_key.warm_start_key(before, "images") == warm_start_key.warm_start_key(after, "images")
    assert same == cannot, f"{name}: {'not ' * (not same)}the same key"


def test_other_images_or_other_arithmetic_are_another_key(monkeypatch):
    key = warm_start_key.warm_start_key(BASE, "images")
    assert warm_start_key.warm_start_key(BASE, "other images") != key
    monkeypatch.setattr(warm_start_key, "STEP_SEMANTICS", warm_start_key.STEP_SEMANTICS + 1)
    assert warm_start_key.warm_start_key(BASE, "images") != key


def test_training_degradations_share_a_warm_start_that_is_trained_on_their_mixture():
    def key(**settings):
        values = {f"data.{name}": value for name, value in settings.items()}
        return warm_start_key.warm_start_key(override(BASE, {"data.input": "image"} | values), "images")

    mixed = {"psnr_degradation": "bsrgan+jpeg:10-40"}
    assert key(train_degradation="bsrgan", **mixed) == key(train_degradation="jpeg:10-40", **mixed)
    assert key(train_degradation="bsrgan") != key(train_degradation="jpeg:10-40") != key(**mixed)


def test_weights_to_start_from_are_named_by_what_they_are(tmp_path):
    def at(folder, weights):
        (tmp_path / folder).mkdir()
        files = {"generator_ema.safetensors": weights, "extra.json": folder}
        (tmp_path / folder / "manifest.json").write_text(json.dumps({"sha256": files}))
        return warm_start_key.warm_start_key(
            override(BASE, {"run.start_from": str(tmp_path / folder)}), "images"
        )

    assert at("here", "abc") == at("there", "abc") != at("other", "abd")
    with pytest.raises(UserError, match="run.start_from: there is no checkpoint in .*gone"):
        warm_start_key.warm_start_key(override(BASE, {"run.start_from": str(tmp_path / "gone")}), "images")


def test_the_key_of_default_settings_is_the_one_of_earlier_versions():
    """A warm start in a storage must be found again."""
    assert warm_start_key.warm_start_key(tiny(), "images") == "3d213310c02f562a"


def test_every_name_that_is_left_out_exists():
    names = flatten(tiny())
    for entry in (*warm_start_key.NOT_IN_KEY, *warm_start_key.EXCEPTIONS_IN_KEY):
        assert any(n.startswith(entry) if entry.endswith(".") else n == entry for n in names), entry
