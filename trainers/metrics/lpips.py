"""LPIPS v0.1 (Zhang et al., 2018): distance of unit-normalised network features, weighted by learnt heads.

The backbones are torchvision's AlexNet and VGG16, the heads are the authors' files. Without these files the
metrics are unavailable; nothing is downloaded here.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from trainers.metrics.image_view import Views
from trainers.metrics.weights import find

NEEDS_ALEX = ("alexnet-owt-7be5be79.pth", "lpips-v0.1-alex.pth")
NEEDS_VGG = ("vgg16-397923af.pth", "lpips-v0.1-vgg.pth")
_ALEX_RELUS = (1, 4, 7, 9, 11)
VGG_RELUS = (3, 8, 15, 22, 29)  # relu1_2, 2_2, 3_3, 4_3, 5_3

# ImageNet statistics for inputs in [-1, 1], as in the authors' scaling layer
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """The LPIPS network: `features` read after each layer in `taps`, one head (1, C, 1, 1) per tap."""

    def __init__(self, features: nn.Sequential, taps: tuple[int, ...], heads: list[Tensor]) -> None:
        super().__init__()
        self.features, self.taps = features.eval().requires_grad_(False), taps
        self.heads = nn.ParameterList([nn.Parameter(head, requires_grad=False) for head in heads])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))

    def _unit_features(self, x: Tensor) -> list[Tensor]:
        x, out = (x - self.shift) / self.scale, []
        for i, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if i in self.taps:
                out.append(x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
        return out

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (N,) of two batches (N, 3, H, W) in [-1, 1]; eq. 1 of the paper."""
        pairs = zip(self._unit_features(a), self._unit_features(b), self.heads, strict=True)
        return torch.stack([((p - q).pow(2) * w).sum(1).mean((1, 2)) for p, q, w in pairs]).sum(0)


def tensors(name: str) -> dict[str, Tensor]:
    """Return the tensors of the published weight file `name`; UserError if the file is missing or damaged."""
    return torch.load(find(name), map_location="cpu", weights_only=True)


def _heads(name: str) -> list[Tensor]:
    weights = tensors(name)
    return [weights[f"lin{k}.model.1.weight"] for k in range(5)]


@cache
def _alex(device: torch.device) -> Lpips:
    from torchvision.models import alexnet

    network = alexnet(weights=None)
    network.load_state_dict(tensors(NEEDS_ALEX[0]))
    return Lpips(network.features, _ALEX_RELUS, _heads(NEEDS_ALEX[1])).to(device)


@cache
def _vgg(device: torch.device) -> Lpips:
    return Lpips(vgg16_features(), VGG_RELUS, _heads(NEEDS_VGG[1])).to(device)


def vgg16_features() -> nn.Sequential:
    """Return the convolutional part of torchvision's VGG16 with its ImageNet weights."""
    from torchvision.models import vgg16

    network = vgg16(weights=None)
    network.load_state_dict(tensors(NEEDS_VGG[0]))
    return network.features


@torch.inference_mode()
def pairwise(network: nn.Module, sr: Views, hr: Views) -> list[float]:
    """Return `network` of each pair, (1, 3, H, W) in [-1, 1]; one pair at a time, to limit memory."""
    pairs = zip(sr, hr, strict=True)
    return [float(network(_signed(a.rgb, sr.device), _signed(b.rgb, sr.device))) for a, b in pairs]


def _signed(pixels: np.ndarray, device: torch.device) -> Tensor:
    # a copy, because torch warns about the read-only arrays of the decoded cache
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None] / 127.5 - 1


def lpips_alex(sr: Views, hr: Views) -> list[float]:
    """Return the LPIPS (AlexNet) of unshaved 8-bit images per image; 0 when equal, larger is worse."""
    return pairwise(_alex(sr.device), sr, hr)


def lpips_vgg(sr: Views, hr: Views) -> list[float]:
    """Return the LPIPS (VGG16) of unshaved 8-bit images per image; 0 when equal, larger is worse."""
    return pairwise(_vgg(sr.device), sr, hr)
