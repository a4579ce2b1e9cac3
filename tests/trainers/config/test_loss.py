"""Loss settings that do not go together are refused, in a sentence that names the setting."""

import pytest

from datasets.errors import UserError
from trainers.config import LossConfig, TrainConfig, override
from trainers.config.loss import PERCEPTUAL_LOSSES, content_layers, content_taps
from trainers.metrics import METRICS
from trainers.weights import NEEDS


def test_layers_of_vgg_are_named_by_block_and_number():
    assert content_layers("vgg16")[:6] == ("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2")
    assert content_layers("vgg19")[-2:] == ("conv5_4", "pool5") and len(content_layers("vgg19")) == 21


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(adversarial="wgan_gp"), r"wgan_gp need each other .*but got wgan_gp and 0\.0"),
        (dict(gradient_penalty_weight=10.0), r"wgan_gp need each other .*but got vanilla and 10\.0"),
        (
            dict(label_smoothing=0.1, adversarial="hinge"),
            r"label_smoothing must be 0\.0 \(hinge has no labels",
        ),
        (dict(label_smoothing=1.0), r"label_smoothing must be in \[0, 1\), but got 1\.0"),
        (dict(content_layer="pool5", content_activation=False), r"content_activation must be True"),
        (dict(content_layer="conv5_4+pool5", content_activation=False), r"content_activation must be True"),
        (dict(content_layer="conv5_4*0"), r"layers with weights above 0 as .* but got 'conv5_4\*0'"),
        (dict(content_layer="conv5_4*x"), r"or one of blocks, real_esrgan, but got 'conv5_4\*x'"),
        (dict(content_layer="conv5_4+conv5_4"), r"but got 'conv5_4\+conv5_4'"),
        (dict(content_layer="conv5_4+"), r"no layer of vgg19 ''"),
        (dict(content_layer="real_esrgn"), r"did you mean 'real_esrgan'"),
        (dict(perceptual="lpips"), r"no perceptual loss 'lpips'; .*did you mean 'lpips_"),
        (dict(content_criterion="l3"), r"no content criterion 'l3'"),
        (dict(content_network="vgg11"), r"no content network 'vgg11'"),
        (dict(pixel="l3"), r"no pixel loss 'l3'; known: .*loss\.pixel"),
        (dict(pixel_colors="ycbcr"), r"no pixel colors 'ycbcr'.*loss\.pixel_colors"),
        (dict(adversarial="vanila"), r"no adversarial loss 'vanila'.*did you mean 'vanilla'"),
        (dict(pixel_weight=-1.0), r"loss\.pixel_weight must be at least 0"),
    ],
)
def test_loss_settings_that_do_not_go_together(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        LossConfig(**settings)


def test_a_preset_names_the_last_convolution_of_each_block_of_either_network():
    assert content_taps("vgg19", "real_esrgan") == {
        "conv1_2": 0.1,
        "conv2_2": 0.1,
        "conv3_4": 1.0,
        "conv4_4": 1.0,
        "conv5_4": 1.0,
    }
    assert list(content_taps("vgg16", "blocks")) == ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"]
    assert content_taps("vgg16", " pool2*0.2 + conv5_1 ") == {"pool2": 0.2, "conv5_1": 1.0}


def test_metrics_that_are_losses_are_metrics_on_the_network_that_is_said():
    for name, network in PERCEPTUAL_LOSSES.items():
        assert name in METRICS and network in NEEDS[name]


SAME_WEIGHTS = [
    ({"loss.content_network": "vgg16", "loss.content_layer": "conv3_3"}, "dists", "vgg16", "lpips_alex"),
    ({"loss.content_network": "vgg16", "loss.content_layer": "blocks"}, "lpips_vgg", "vgg16", "lpips_alex"),
    ({"loss.perceptual_weight": 1.0}, "lpips_vgg", "vgg16", "lpips_alex"),
    ({"loss.perceptual_weight": 1.0, "loss.perceptual": "lpips_alex"}, "lpips_alex", "alexnet", "dists"),
]


@pytest.mark.parametrize(("loss", "metric", "network", "free"), SAME_WEIGHTS)
def test_the_same_weights_never_serve_as_loss_and_objective(loss, metric, network, free):
    sentence = (
        rf"objective.perceptual {metric} and the loss use the same weights \({network}\).*: set .* {free}"
    )
    with pytest.raises(UserError, match=sentence):
        override(TrainConfig(), loss | {"objective.perceptual": metric})
    assert override(TrainConfig(), loss | {"objective.perceptual": free})


def test_weights_that_are_random_or_switched_off_may_be_of_the_objective_s_network():
    vgg16 = {
        "loss.content_network": "vgg16",
        "loss.content_layer": "conv3_3",
        "objective.perceptual": "dists",
    }
    assert override(TrainConfig(), vgg16 | {"loss.content_weights": "random"})
    assert override(TrainConfig(), vgg16 | {"loss.content_weight": 0.0})
    assert override(TrainConfig(), {"objective.perceptual": "dists", "loss.content_network": "vgg19"})
    both = {"loss.perceptual_weight": 1.0, "loss.perceptual": "lpips_alex", "objective.perceptual": "dists"}
    with pytest.raises(UserError, match="set objective.perceptual swd, or another loss"):
        override(TrainConfig(), both | vgg16)
