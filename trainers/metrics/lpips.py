"""LPIPS v0.1 (Zhang et al., 2018): distance of unit-normalised network features, weighted by learnt heads.

The backbones are torchvision's AlexNet and VGG16, the heads are the authors' files. Without these files the
metrics are unavailable; nothing is downloaded here.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from trainers.backbones import alexnet_layers, vgg_layers
from trainers.config.loss import content_layers
from trainers.metrics.image_view import Views
from trainers.weights import NEEDS, load

ALEX_RELUS = (1, 4, 7, 9, 11)
VGG_RELUS = (3, 8, 15, 22, 29)  # relu1_2, 2_2, 3_3, 4_3, 5_3
KEPT_BYTES = 2**29
"""Features of the HR images of an evaluation that a process keeps for each network."""

# ImageNet statistics for inputs in [-1, 1], as in the authors' scaling layer
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class FeatureDistance(nn.Module):
    """A network whose features of two images are compared. Subclasses define `read` and `compare`."""

    def read(self, x: Tensor) -> list[Tensor]:
        """Return features (N, C, h, w) of images (N, 3, H, W) in [-1, 1]."""
        raise NotImplementedError

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Return the distances (N,) of the features of two batches; 0 when equal."""
        raise NotImplementedError

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (N,) of two batches (N, 3, H, W) in [-1, 1]."""
        return self.compare(self.read(a), self.read(b))


class Lpips(FeatureDistance):
    """The LPIPS network (eq. 1): `features` read after each layer in `taps`, a head (1, C, 1, 1) per tap."""

    def __init__(self, features: nn.Sequential, taps: tuple[int, ...], heads: list[Tensor]) -> None:
        super().__init__()
        self.features, self.taps = features.eval().requires_grad_(False), taps
        self.heads = nn.ParameterList([nn.Parameter(head, requires_grad=False) for head in heads])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))

    def read(self, x: Tensor) -> list[Tensor]:
        x, out = (x - self.shift) / self.scale, []
        for i, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if i in self.taps:
                wide = x.float() if x.dtype == torch.bfloat16 else x  # under autocast
                # a norm, not the root of a sum: where all features are 0, its gradient is 0 and not NaN
                out.append(x / (torch.linalg.vector_norm(wide, dim=1, keepdim=True) + 1e-10))
        return out

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        pairs = zip(a, b, self.heads, strict=True)
        return torch.stack([((p - q).pow(2) * w).sum(1).mean((1, 2)) for p, q, w in pairs]).sum(0)


@cache
@torch.inference_mode(False)  # the parameters may be used by a loss, too
def backbone(network: str, device: torch.device) -> nn.Sequential:
    """Return the features of alexnet or vgg16 with torchvision's ImageNet weights, read once per device.

    UserError if the file is missing or damaged.
    """
    with torch.device("meta"):  # without it, torch would draw random weights first
        features = alexnet_layers() if network == "alexnet" else vgg_layers(content_layers(network))
    state = {name.removeprefix("features."): tensor for name, tensor in load(network).items()}
    features.load_state_dict(state, assign=True)
    return features.to(device).eval().requires_grad_(False)


@cache
@torch.inference_mode(False)
def load_lpips(name: str, device: torch.device) -> Lpips:
    """Return lpips_alex or lpips_vgg with published weights; UserError if a file is missing or damaged."""
    network, heads = NEEDS[name]
    taps = ALEX_RELUS if network == "alexnet" else VGG_RELUS
    weights = [load(heads)[f"lin{k}.model.1.weight"] for k in range(5)]
    return Lpips(backbone(network, device), taps, weights).to(device)


@torch.inference_mode()
def pairwise(network: FeatureDistance, sr: Views, hr: Views) -> list[float]:
    """Return the distance of each pair by `network`; one pair at a time, to limit memory.

    On a CPU, where reading is slow, features of `hr` are kept for the next call, up to KEPT_BYTES of them.
    """
    kept: dict[int, list[Tensor]] = hr.keep(network, dict)
    room = KEPT_BYTES - sum(_size(features) for features in kept.values())
    distances = []
    for i, (a, b) in enumerate(zip(sr, hr, strict=True)):
        if (target := kept.get(i)) is None:
            target = network.read(_signed(b.rgb, sr.device))
            if sr.device.type == "cpu" and _size(target) <= room:
                kept[i], room = target, room - _size(target)
        distances.append(float(network.compare(network.read(_signed(a.rgb, sr.device)), target)))
    return distances


def _size(features: list[Tensor]) -> int:
    return sum(feature.nbytes for feature in features)


def _signed(pixels: np.ndarray, device: torch.device) -> Tensor:
    # a copy, because torch warns about the read-only arrays of the decoded cache
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None] / 127.5 - 1


def lpips_alex(sr: Views, hr: Views) -> list[float]:
    """Return the LPIPS (AlexNet) of unshaved 8-bit images per image; 0 when equal, larger is worse.

    Measured weakness (docs/metrics.md): noise of 6 grey levels betters it by 26 to 35 %, JPEG of quality 50
    by 11 to 15 %, and a checkerboard of 4 px by up to 9 %.
    """
    return pairwise(load_lpips("lpips_alex", sr.device), sr, hr)


def lpips_vgg(sr: Views, hr: Views) -> list[float]:
    """Return the LPIPS (VGG16) of unshaved 8-bit images per image; 0 when equal, larger is worse.

    Measured weakness (docs/metrics.md): noise of 3 grey levels betters a network's result by 7 %, sharpening
    bettered bicubic by 8 %, and a checkerboard of 2 px betters both by up to 2 %.
    """
    return pairwise(load_lpips("lpips_vgg", sr.device), sr, hr)
