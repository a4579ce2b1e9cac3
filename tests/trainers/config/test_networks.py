"""Settings that a network cannot follow are refused, in a sentence that names the setting."""

import pytest
import torch

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.pixels import PixelFormat
from trainers.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    TrainConfig,
    override,
    with_pixels,
)
from trainers.models import build_discriminator, build_generator

SRCNN = dict(kind="srcnn_915", num_blocks=1, norm="none", upsampler="bicubic_input")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(kind="srresnt"), r"no generator 'srresnt'; known: .*did you mean 'srresnet'"),
        (dict(upsampler="pixelshuffle"), r"no upsampler 'pixelshuffle'"),
        (dict(scale=5), r"generator\.scale must be 1, 2, 3, 4, 8 or 16, but got 5"),
        (dict(num_blocks=0), r"generator\.num_blocks must be at least 1, but got 0"),
        (dict(kind="rrdb"), r"generator\.norm must be none \(rrdb has no normalisation\), but got batch"),
        (SRCNN | dict(num_blocks=16), r"generator\.num_blocks must be 1 \(srcnn_915 has three layers\)"),
        (SRCNN | dict(upsampler="nearest_conv"), r"generator\.upsampler must be bicubic_input"),
        (dict(upsampler="bicubic_input"), r"bicubic_input belongs to srcnn, but generator\.kind is srresnet"),
        (dict(upsampler="interp_transposed", scale=2), r"needs two doublings, but generator\.scale is 2"),
        (dict(icnr=True, upsampler="nearest_conv"), r"generator\.icnr belongs to pixel_shuffle only"),
        (dict(colors="y"), r"generator\.colors must be rgb \(srresnet does not read it\)"),
        (dict(growth=16), r"generator\.growth must be 32 \(srresnet does not read it\), but got 16"),
        (dict(unshuffle_input=True), r"generator\.unshuffle_input must be False \(srresnet does not"),
        (dict(kind="rrdb", norm="none", unshuffle_input=True), r"needs generator\.scale 1 or 2"),
        (dict(kind="leftthomas", global_skip="bicubic"), r"leftthomas ends in tanh, which bounds"),
    ],
)
def test_generator_settings_that_do_not_go_together(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        GeneratorConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(kind="sizefree"), r"no discriminator 'sizefree'"),
        (dict(norm="instance"), r"no norm 'instance'; known: batch, layer, none, spectral"),
        (dict(kind="unet_sn"), r"discriminator\.norm must be spectral .* but got batch"),
        (dict(kind="unet_sn", norm="spectral"), r"discriminator\.num_layers must be 10"),
        (dict(kind="patch"), r"discriminator\.num_layers of patch must be 3 to 6, but got 8"),
        (dict(kind="esrgan"), r"discriminator\.image_px must be .*got 96 px and 8 layers"),
    ],
)
def test_discriminator_settings_that_do_not_go_together(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        DiscriminatorConfig(**settings)


def test_wgan_gp_refuses_batch_norm_in_the_discriminator():
    loss = LossConfig(adversarial="wgan_gp", gradient_penalty_weight=10.0)
    with pytest.raises(UserError, match=r"which batch norm mixes: set discriminator\.norm to layer or none"):
        TrainConfig(loss=loss)
    TrainConfig(loss=loss, discriminator=DiscriminatorConfig(norm="layer"))


def test_a_fixed_size_discriminator_needs_the_crop_it_was_built_for():
    paper = DiscriminatorConfig(kind="paper", image_px=96)
    with pytest.raises(
        UserError, match=r"discriminator\.image_px must equal data\.crop_px=128 for the paper"
    ):
        TrainConfig(discriminator=paper, data=DataConfig(crop_px=128))
    TrainConfig(discriminator=paper, data=DataConfig(crop_px=96))


BANDS = {"data.bands": ("a", "b"), "data.peak": 4095, "loss.content_weight": 0.0}
TWO = {"generator.image_channels": 2, "discriminator.image_channels": 2, "discriminator.norm": "none"}


@pytest.mark.parametrize("kind", ["srresnet", "rrdb", "srcnn_915", "srcnn_955"])
@pytest.mark.parametrize("judge", ["size_free", "patch", "unet_sn"])
def test_networks_take_any_number_of_bands(kind: str, judge: str) -> None:
    sizes = {"patch": 3, "unet_sn": 10}
    values = {"discriminator.kind": judge, "discriminator.num_layers": sizes.get(judge, 4)}
    values |= {"discriminator.base_channels": 4, "generator.channels": 8}
    values |= {"discriminator.norm": "spectral"} if judge == "unet_sn" else {}
    config = override(override(TrainConfig(), {"generator.kind": kind}), BANDS | TWO | values)
    generator, discriminator = build_generator(config.generator), build_discriminator(config.discriminator)
    sr = generator(torch.rand(1, 2, 8, 8))
    assert sr.shape == (1, 2, 32, 32) and torch.isfinite(discriminator(sr)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generator.image_channels": 3}, "generator.image_channels must be 2, the number of data.bands"),
        ({"loss.content_weight": 1.0}, "loss.content_weight needs 8-bit RGB"),
        ({"loss.pixel_colors": "y"}, "loss.pixel_colors needs 8-bit RGB"),
        ({"data.input": "grey"}, "data.input grey is made for 8-bit RGB"),
        ({"data.train_degradation": "bsrgan"}, "data.train_degradation bsrgan is made for 8-bit RGB"),
        (
            {"generator.kind": "compact"},
            "generator.image_channels must be 3 .compact takes 8-bit RGB; other bands need",
        ),
        ({"data.bands": ("a", "a")}, "different names"),
        ({"data.peak": 70_000}, "data.peak must be 1 to 65535"),
    ],
)
def test_what_reads_8_bit_rgb_only_says_so(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        override(TrainConfig(), BANDS | TWO | values)


def test_deep_rgb_is_refused_where_8_bit_is_needed_and_bands_are_taken_over_once() -> None:
    deep = PixelFormat(peak=4095)
    with pytest.raises(UserError, match="loss.content_weight needs 8-bit RGB"):
        with_pixels(override(TrainConfig(), {"loss.content_weight": 1.0}), deep)
    plain = override(TrainConfig(), {"loss.content_weight": 0.0})
    assert with_pixels(plain, PixelFormat()) is plain
    taken = with_pixels(plain, PixelFormat(("a", "b"), 4095))
    assert taken == override(plain, BANDS | {k: v for k, v in TWO.items() if k.endswith("channels")})
    assert with_pixels(taken, deep) is taken
    with pytest.raises(UserError, match="generator.kind compact takes 8-bit RGB"):
        with_pixels(override(plain, {"generator.kind": "compact"}), deep)
