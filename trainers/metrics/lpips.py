"""LPIPS v0.1 (Zhang et al., 2018): distance of unit-normalised AlexNet features, weighted by learnt heads.

The backbone is torchvision's AlexNet, the heads are the authors' file; without both files the metric is
unavailable. Nothing is downloaded here.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from trainers.metrics.view import Views
from trainers.metrics.weights import find

NEEDS_ALEX = ("alexnet-owt-7be5be79.pth", "lpips-v0.1-alex.pth")

# ImageNet statistics for inputs in [-1, 1], as the authors' scaling layer has them.
_SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
_ALEX_RELUS = (1, 4, 7, 9, 11)


class Lpips(nn.Module):
    """`features` is cut after each layer of `taps`; `heads` holds one (1, C, 1, 1) weight per tap."""

    def __init__(self, features: nn.Sequential, taps: tuple[int, ...], heads: list[Tensor]) -> None:
        super().__init__()
        self.features, self.taps, self.heads = features.eval().requires_grad_(False), taps, heads

    def _unit_features(self, x: Tensor) -> list[Tensor]:
        x, out = (x - _SHIFT) / _SCALE, []
        for i, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if i in self.taps:
                out.append(x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
        return out

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance (N,) of two batches (N, 3, H, W) in [-1, 1]."""
        pairs = zip(self._unit_features(a), self._unit_features(b), self.heads, strict=True)
        return torch.stack([((p - q).pow(2) * w).sum(1).mean((1, 2)) for p, q, w in pairs]).sum(0)


@cache
def load_alex() -> Lpips:
    """LPIPS with AlexNet; UserError where a file is absent."""
    from torchvision.models import alexnet

    network = alexnet(weights=None)
    network.load_state_dict(torch.load(find(NEEDS_ALEX[0]), map_location="cpu", weights_only=True))
    heads = torch.load(find(NEEDS_ALEX[1]), map_location="cpu", weights_only=True)
    return Lpips(network.features, _ALEX_RELUS, [heads[f"lin{k}.model.1.weight"] for k in range(5)])


def to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) as a (1, 3, H, W) tensor in [-1, 1]."""
    return torch.from_numpy(np.array(pixels, dtype=np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@torch.no_grad()
def lpips_alex(sr: Views, hr: Views) -> list[float]:
    """LPIPS (alex, v0.1) of whole 8-bit images, one value per image; 0 when equal, larger is worse."""
    network = load_alex()
    return [float(network(to_tensor(a.rgb), to_tensor(b.rgb))) for a, b in zip(sr, hr, strict=True)]
