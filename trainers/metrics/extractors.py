"""Networks whose features represent an image in set-level distances (trainers/metrics/frechet.py).

An extractor is a frozen module: uint8 (N, 3, H, W) -> float (N, D), with a `label` that is part of the
name of every distance. Only Inception with the 2015-12-05 weights may be called FID; others are FD-<label>.
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.metrics.efficientnet import EfficientNetLite0
from trainers.weights import find, load

_RANDOM_SEED = 20151205


class Inception(nn.Module):
    """Pool features (N, 2048) of the FID graph by torch-fidelity, with TensorFlow 1's resizing to 299 px."""

    label = "inception"

    def __init__(self) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path = find("inception")
        # torch-fidelity unpickles any object; a file that holds more than tensors is refused here first.
        torch.load(path, map_location="cpu", weights_only=True)
        network = FeatureExtractorInceptionV3(self.label, ["2048"], feature_extractor_weights_path=path)
        self.network = network.to(memory_format=torch.channels_last)  # a quarter less time on a CPU

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)[0]


class RandomConv(nn.Module):
    """Features (N, 64): spatial means of a small convolutional network with constant random weights.

    For sets too small for 2048 dimensions and machines without published weights. It responds to texture and
    colour, not to content; its distances have not been compared with human judgement.
    """

    label = "random"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_RANDOM_SEED)
        widths = (3, 16, 32, 48, 64)
        for i, (inside, outside) in enumerate(zip(widths, widths[1:], strict=False)):
            kernel = torch.randn(outside, inside, 3, 3, generator=generator) * (2 / (9 * inside)) ** 0.5
            self.register_buffer(f"kernel{i}", kernel)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float() / 127.5 - 1
        for kernel in self.buffers():
            x = F.relu(F.conv2d(x, kernel, stride=2, padding=1))
        return x.mean((2, 3))


def _efficientnet() -> nn.Module:
    network = EfficientNetLite0()
    network.load_state_dict(load("efficientnet_lite0"))
    return network


EXTRACTORS: dict[str, Callable[[], nn.Module]] = {
    "inception": Inception,
    "efficientnet": _efficientnet,
    "random": RandomConv,
}


@cache
def load_extractor(name: str, device: torch.device) -> nn.Module:
    """Return the extractor `name` of EXTRACTORS on `device`.

    UserError if its weights or its package are missing.
    """
    try:
        return EXTRACTORS[name]().to(device).eval().requires_grad_(False)
    except ImportError:
        raise UserError(
            "FID and KID need the package torch-fidelity: pip install 'upsweep[metrics]', or choose fd_random"
        ) from None
