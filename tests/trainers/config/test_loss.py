"""Loss settings that do not go together are refused, in a sentence that names the setting."""

import pytest

from datasets.errors import UserError
from trainers.config import LossConfig
from trainers.config.loss import content_layers


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
        (dict(content_criterion="l3"), r"no content criterion 'l3'"),
        (dict(pixel_weight=-1.0), r"loss\.pixel_weight must be at least 0"),
    ],
)
def test_loss_settings_that_do_not_go_together(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        LossConfig(**settings)
