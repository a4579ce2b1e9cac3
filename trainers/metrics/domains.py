"""FD-domains and KD-domains: set distances in the features of a small classifier of the domains at hand.

For machines without published weights, and for sets too small for 2048 dimensions. The classifier learns to
distinguish the training images of the compared sets (faces, rooms, buildings), so its features, unlike random
ones, respond to differences between such images. It is trained once, stored in a file, and identified by its
hash. Its values are not FID or KID; values of two classifiers cannot be compared.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainers.metrics.frechet import frechet
from trainers.weights.store import file_sha256

DIMENSIONS = 64
STEPS, BATCH = 240, 24
_WIDTHS = (3, 16, 32, 48, DIMENSIONS)


class DomainClassifier(nn.Module):
    """A small convolutional classifier of `domains` classes: uint8 (N, 3, H, W) -> features (N, 64)."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(_WIDTHS, _WIDTHS[1:], strict=False)]
        self.convs = nn.ModuleList(convs)
        self.head = nn.Linear(DIMENSIONS, domains)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float() / 127.5 - 1
        for conv in self.convs:
            x = F.relu(conv(x))
        return x.mean((2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """Return the class logits (N, domains) of uint8 images (N, 3, H, W)."""
        return self.head(self(images))


def train_classifier(domains: Sequence[Sequence[np.ndarray]], side: int, path: Path) -> float:
    """Train on random crops of `side` px of each domain's images, uint8 (H, W, 3); write safetensors.

    Returns the training accuracy in [0, 1] over the last quarter of the steps.
    """
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DomainClassifier(len(domains))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    accuracies: list[float] = []
    for _ in range(STEPS):
        labels = rng.integers(len(domains), size=BATCH)
        crops = np.stack([_crop(domains[k], side, rng) for k in labels])
        images, wanted = torch.from_numpy(crops).permute(0, 3, 1, 2), torch.from_numpy(labels)
        logits = network.logits(images)
        optimizer.zero_grad()
        F.cross_entropy(logits, wanted).backward()
        optimizer.step()
        accuracies.append((logits.argmax(1) == wanted).float().mean().item())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path)
    return float(np.mean(accuracies[-STEPS // 4 :]))


def _crop(images: Sequence[np.ndarray], side: int, rng: np.random.Generator) -> np.ndarray:
    image = images[int(rng.integers(len(images)))]
    top, left = (int(rng.integers(n - side + 1)) for n in image.shape[:2])
    crop = image[top : top + side, left : left + side]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


@lru_cache(maxsize=4)
def load_classifier(path: str) -> tuple[DomainClassifier, str]:
    """Return the classifier in a file and the first eight digits of the file's SHA-256."""
    state = load_file(path)
    network = DomainClassifier(len(state["head.bias"]))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False), file_sha256(Path(path))[:8]


@torch.inference_mode()
def features(images: Sequence[np.ndarray], path: str) -> np.ndarray:
    """Return features (N, 64) in float64 of N uint8 images (H, W, 3)."""
    network, _ = load_classifier(path)
    rows = [network(torch.from_numpy(np.array(i)).permute(2, 0, 1)[None])[0].numpy() for i in images]
    return np.stack(rows).astype(np.float64)


def distances(made: Sequence[np.ndarray], real: Sequence[np.ndarray], path: str) -> dict[str, float]:
    """Return fd_domains (Frechet) and kd_domains (cubic kernel, x1e3) of results and their targets."""
    a, b = features(made, path), features(real, path)
    return {"fd_domains": frechet(a, b), "kd_domains": 1000 * paired_kernel_distance(a, b)}


def paired_kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased squared MMD with the kernel (x y / D + 1)^3 of paired features (n, D).

    A result resembles its own target far more than other targets, so the mixed sum leaves out each pair, as
    the other sums leave out each image with itself (Gretton et al., 2012, eq. 4); otherwise the value would
    be below 0.
    """
    n = len(a)
    within, other, mixed = (_without_diagonal(x, y) for x, y in ((a, a), (b, b), (a, b)))
    return (within + other - 2 * mixed) / (n * (n - 1))


def _without_diagonal(a: np.ndarray, b: np.ndarray) -> float:
    kernel = (a @ b.T / a.shape[1] + 1) ** 3
    return float(kernel.sum() - np.trace(kernel))


def protocol(path: str) -> str:
    """Return the protocol of distances by the classifier in `path`: only equal protocols compare."""
    name = load_classifier(path)[1]
    return f"64 features of domain classifier {name}, 8-bit RGB unshaved"
