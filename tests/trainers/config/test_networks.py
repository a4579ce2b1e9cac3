"""Settings that a network cannot follow are refused, in a sentence that names the setting."""

import pytest

from datasets.config import DataConfig
from datasets.errors import UserError
from trainers.config import DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig

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
