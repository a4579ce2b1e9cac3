"""The convolutional layers of AlexNet and VGG, numbered as in torchvision's `features`.

They are built here because torchvision's import, which loads torch's compiler, takes a worker five seconds.
"""

from collections.abc import Sequence

from torch import nn

VGG_CHANNELS = (64, 128, 256, 512, 512)
"""Of the five blocks of VGG16 and VGG19 (Simonyan and Zisserman, 2015, table 1, D and E)."""


def vgg_layers(names: Sequence[str]) -> nn.Sequential:
    """Return VGG up to the last of `names`, which are the first of `content_layers`.

    A convolution brings its ReLU.
    """
    layers: list[nn.Module] = []
    inside = 3
    for name in names:
        if name.startswith("pool"):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            outside = VGG_CHANNELS[int(name.removeprefix("conv").partition("_")[0]) - 1]
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(inplace=True)]
            inside = outside
    return nn.Sequential(*layers)


def alexnet_layers() -> nn.Sequential:
    """Return the layers of AlexNet in one column (Krizhevsky, 2014)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
    )
