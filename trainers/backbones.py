"""The convolutional layers of AlexNet and VGG, numbered as in torchvision's `features`.

They are built here because torchvision's import, which loads torch's compiler, takes a worker five seconds.
"""

from collections.abc import Sequence

from torch import nn

POOL = "M"
VGG: dict[str, tuple[int | str, ...]] = {
    "vgg16": (64, 64, POOL, 128, 128, POOL, *(256,) * 3, POOL, *(512,) * 3, POOL, *(512,) * 3, POOL),
    "vgg19": (64, 64, POOL, 128, 128, POOL, *(256,) * 4, POOL, *(512,) * 4, POOL, *(512,) * 4, POOL),
}
"""Channels of each convolution, and the pools (Simonyan and Zisserman, 2015, table 1, D and E)."""


def vgg_layers(entries: Sequence[int | str]) -> nn.Sequential:
    """Return the layers of `entries`, a beginning of one of VGG: each convolution brings its ReLU."""
    layers: list[nn.Module] = []
    inside = 3
    for entry in entries:
        if isinstance(entry, int):
            layers += [nn.Conv2d(inside, entry, 3, padding=1), nn.ReLU(inplace=True)]
            inside = entry
        else:
            layers.append(nn.MaxPool2d(2, 2))
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
