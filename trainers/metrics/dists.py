"""DISTS (Ding et al., "Image quality assessment: unifying structure and texture similarity", 2020).

Similarity of means (texture) and of covariances (structure) of VGG16 features, weighted per channel by the
authors' file. Pooling is a Hann-windowed L2 norm; the image is the first of the six feature maps.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.metrics.image_view import Views
from trainers.metrics.lpips import VGG_RELUS, FeatureDistance, backbone, pairwise
from trainers.weights import NEEDS, load

_STABILISER = 1e-6


class L2Pool(nn.Module):
    """L2 pooling: square, 3x3 Hann window with stride 2, square root; halves (N, C, H, W) (eq. 2)."""

    def __init__(self) -> None:
        super().__init__()
        window = torch.tensor([0.5, 1.0, 0.5])  # a Hann window of 5 without its zeros
        kernel = torch.outer(window, window)
        self.register_buffer("kernel", kernel / kernel.sum())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], 1, 3, 3)
        pooled = F.conv2d(x * x, kernel, stride=2, padding=1, groups=x.shape[1])
        return (pooled + 1e-12).sqrt()


class Dists(FeatureDistance):
    """The DISTS network; `alpha` and `beta`, (1, 1475, 1, 1), weight texture and structure of `features`."""

    def __init__(self, features: nn.Sequential, alpha: Tensor, beta: Tensor) -> None:
        super().__init__()
        layers = [L2Pool() if isinstance(m, nn.MaxPool2d) else m for m in features]
        self.features = nn.Sequential(*layers[: VGG_RELUS[-1] + 1]).eval().requires_grad_(False)
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha.flatten() / total)
        self.register_buffer("beta", beta.flatten() / total)
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))

    def read(self, x: Tensor) -> list[Tensor]:
        x = (x + 1) / 2
        maps, x = [x], (x - self.mean) / self.std
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in VGG_RELUS:
                maps.append(x)
        return maps

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        terms = [_similarities(p, q) for p, q in zip(a, b, strict=True)]
        texture, structure = (torch.cat(kind, dim=1) for kind in zip(*terms, strict=True))
        return 1 - (texture * self.alpha).sum(1) - (structure * self.beta).sum(1)


def _similarities(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Return texture and structure similarity (N, C) of two feature maps (eq. 5 and 6)."""
    if p.dtype == torch.bfloat16:  # under autocast, which is too coarse for means of squares
        p, q = p.float(), q.float()
    mean_p, mean_q = p.mean((2, 3)), q.mean((2, 3))
    texture = (2 * mean_p * mean_q + _STABILISER) / (mean_p**2 + mean_q**2 + _STABILISER)
    covariance = (p * q).mean((2, 3)) - mean_p * mean_q
    spread = p.var((2, 3), correction=0) + q.var((2, 3), correction=0)
    return texture, (2 * covariance + _STABILISER) / (spread + _STABILISER)


@cache
@torch.inference_mode(False)  # the parameters may be used by a loss, too
def load_dists(device: torch.device) -> Dists:
    """Return DISTS with its published weights; UserError if a file is missing or damaged."""
    network, alpha_beta = NEEDS["dists"]
    weights = load(alpha_beta)
    return Dists(backbone(network, device), weights["alpha"], weights["beta"]).to(device)


def dists(sr: Views, hr: Views) -> list[float]:
    """Return the DISTS of unshaved 8-bit images, not resized, one value per image.

    0 when equal, larger is worse. Measured weakness (docs/metrics.md): noise of 3 grey levels betters it by 4
    to 7 %, JPEG of quality 50 by 3 to 6 %, and sharpening bettered bicubic by 12 %.

    Raises:
        UserError: a weight file is missing or damaged.
    """
    return pairwise(load_dists(sr.device), sr, hr)
