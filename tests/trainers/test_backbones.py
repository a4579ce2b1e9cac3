"""The layers of AlexNet and VGG are torchvision's."""

import pytest
import torch

from trainers.backbones import alexnet_layers, vgg_layers
from trainers.config.loss import content_layers


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg19"])
def test_layers_are_torchvisions(name):
    from torchvision import models

    theirs = getattr(models, name)(weights=None).features
    ours = alexnet_layers() if name == "alexnet" else vgg_layers(content_layers(name))
    assert str(ours) == str(theirs)
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(ours(image), theirs(image))
