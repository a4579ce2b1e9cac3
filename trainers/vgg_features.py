"""Features of a frozen VGG network at one or several layers, which the content loss compares.

ImageNet weights are torchvision's (trainers/weights), or come from a file. Random weights are marked in
`label`, so that no table presents them as the published network.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.backbones import vgg_layers
from trainers.config.loss import content_layers, content_taps
from trainers.weights import obtain
from trainers.weights.readers import read_file
from trainers.weights.store import file_sha256, is_published

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1], as torchvision's weights expect
STD = (0.229, 0.224, 0.225)
RANDOM_SEED = 20_170_525  # constant, so that random features are equal in every run


class VGGFeatures(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] -> features of VGG, before or after the ReLU of the layers in `layers`.

    `layers` is read by `content_taps`: convB_N is convolution N of block B, poolB the pool that ends block B;
    later layers are not built. One layer gives its features (N, C, h, w). Several give (N, D), in which each
    layer is scaled so that the mean distance by `criterion` (l1 or l2) is the weighted sum of the layers'
    mean distances. With normalise=False, images are not normalised, as in leftthomas' public SRGAN (its loss
    is vgg16, pool5). The module is frozen and in eval mode; gradients still reach the images.

    Raises:
        UserError: a layer is unknown, or the weights cannot be read or downloaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: str,
        layers: str,
        activation: bool,
        weights: str,
        *,
        normalise: bool = True,
        criterion: str = "l2",
    ) -> None:
        super().__init__()
        self.label, state = _weights(network, weights)
        self.power = {"l1": 1, "l2": 2}[criterion]
        self.features, self.taps = _layers(network, content_taps(network, layers), activation)
        _fill(self.features, state, weights)
        self.normalise = normalise
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        image = (image - self.mean) / self.std if self.normalise else image
        if len(self.taps) == 1:
            return self.features(image)
        found: list[tuple[float, Tensor]] = []
        for place, layer in enumerate(self.features):
            image = layer(image)
            if place in self.taps:
                found.append((self.taps[place], image.flatten(1)))
        size = sum(features.shape[1] for _, features in found)
        scaled = [(w * size / f.shape[1]) ** (1 / self.power) * f for w, f in found]
        return torch.cat(scaled, dim=1)


def _layers(
    network: str, weights: dict[str, float], activation: bool
) -> tuple[nn.Sequential, dict[int, float]]:
    """Return VGG up to the last layer in `weights`, and the weights by place in it."""
    known = content_layers(network)
    names = known[: max(known.index(layer) for layer in weights) + 1]
    features, taps = vgg_layers(names), {}
    place = -1
    for layer in names:
        is_pool = layer.startswith("pool")
        place += 1 if is_pool else 2  # a convolution brings its ReLU
        if layer in weights:
            before = not is_pool and not activation
            taps[place - before] = weights[layer]
            if before:
                features[place].inplace = False  # else it would change the features that were taken
    return features[: max(taps) + 1], taps


def _weights(network: str, weights: str) -> tuple[str, dict[str, Tensor] | None]:
    """Return the label for tables and the state to load; None stands for random weights."""
    if weights == "random":
        return f"{network}-random", None
    if weights == "imagenet":
        return f"{network}-imagenet", obtain(network)
    path = Path(weights)
    state = _read(path)
    published = is_published(network, state, path)
    return f"{network}-{'imagenet' if published else file_sha256(path)[:8]}", state


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(
            f"loss.content_weights must be imagenet, random or the path of a torchvision state file, but got "
            f"'{path}', which is not a file"
        )
    try:
        return read_file(path)
    except Exception as error:  # torch.load raises many types for a file of another format
        raise UserError(f"loss.content_weights: '{path}' is not a torchvision state file") from error


def _fill(features: nn.Sequential, state: dict[str, Tensor] | None, weights: str) -> None:
    if state is None:
        _initialise(features)
        return
    wanted = features.state_dict()
    chosen = {name: state[f"features.{name}"] for name in wanted if f"features.{name}" in state}
    for name, tensor in wanted.items():
        if name not in chosen or chosen[name].shape != tensor.shape:
            raise UserError(
                f"loss.content_weights: '{weights}' lacks features.{name} of {tuple(tensor.shape)}"
            )
    features.load_state_dict(chosen)


def _initialise(features: nn.Sequential) -> None:
    """Initialise by He from one constant seed; the global random state is neither read nor changed."""
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    for module in features:
        if isinstance(module, nn.Conv2d):
            assert module.bias is not None
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)
