"""Distances between two sets of features: Frechet (FID, FD) and kernel (KID).

FID: Heusel et al., "GANs trained by a two time-scale update rule", 2017, eq. 6. KID: Binkowski et al.,
"Demystifying MMD GANs", 2018, sec. 3. The Frechet distance is biased by the number of images, so two values
compare only at equal N. Features of the HR images are computed once per evaluator, by a network of
trainers/metrics/extractors.py.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from trainers.metrics.extractors import load_extractor
from trainers.metrics.image_view import Views, same_shaped

BATCH = 32  # images per pass of the extractor
_ROWS = 1024  # rows of the kernel matrix held at once


@torch.inference_mode()
def features(views: Views, extractor: str) -> np.ndarray:
    """Return the features of a set as float64 (N, D), in its order; computed once per set."""
    return views.keep(("features", extractor), partial(_compute, views, extractor))


def _compute(views: Views, extractor: str) -> np.ndarray:
    network = load_extractor(extractor, views.device)
    rows: dict[int, np.ndarray] = {}
    for batch in same_shaped([view.pixels.shape[:2] for view in views], lambda _: BATCH):
        images = torch.from_numpy(np.stack([views[i].rgb for i in batch])).permute(0, 3, 1, 2)
        rows.update(zip(batch, network(images.to(views.device)).cpu().numpy(), strict=True))
    return np.stack([rows[i] for i in range(len(views))]).astype(np.float64)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Frechet distance, >= 0, of Gaussians fitted to features `a` (n, D) and `b` (m, D).

    |mean difference|^2 + tr(A) + tr(B) - 2 tr sqrt(A B) for covariances A and B (Heusel et al., 2017, eq. 6).
    With fewer images than dimensions, the last trace is the nuclear norm of the centred cross product, which
    is exact although both covariances are singular.

    Raises:
        ValueError: a set has fewer than two images, or D differs.
    """
    _check_features(a, b)
    mean = a.mean(axis=0) - b.mean(axis=0)
    a, b = (x - x.mean(axis=0) for x in (a, b))
    a, b = a / np.sqrt(len(a) - 1), b / np.sqrt(len(b) - 1)
    if min(len(a), len(b)) < a.shape[1]:
        overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    else:
        overlap = _trace_of_root(a.T @ a, b.T @ b)
    return float(max(0.0, mean @ mean + (a * a).sum() + (b * b).sum() - 2 * overlap))


def _trace_of_root(a: np.ndarray, b: np.ndarray) -> float:
    """Return tr sqrt(A B) of two covariances, from the eigenvalues of the symmetric A^1/2 B A^1/2."""
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum())


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased squared MMD of features (n, D) and (m, D) with the kernel (x y / D + 1)^3.

    It is computed over all images instead of random subsets (Binkowski et al., 2018, sec. 3): the expectation
    is equal and the variance smaller. The value can be below 0.

    Raises:
        ValueError: a set has fewer than two images, or D differs.
    """
    _check_features(a, b)
    n, m = len(a), len(b)
    within = (_kernel_sum(a, a) - _kernel_diagonal(a)) / (n * (n - 1))
    within += (_kernel_sum(b, b) - _kernel_diagonal(b)) / (m * (m - 1))
    return within - 2 * _kernel_sum(a, b) / (n * m)


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    parts = (a[i : i + _ROWS] @ b.T / a.shape[1] + 1 for i in range(0, len(a), _ROWS))
    return float(sum((part**3).sum() for part in parts))


def _kernel_diagonal(a: np.ndarray) -> float:
    return float((((a * a).sum(axis=1) / a.shape[1] + 1) ** 3).sum())


def _check_features(a: np.ndarray, b: np.ndarray) -> None:
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"need two sets of at least two equally long features, got {a.shape} and {b.shape}")


def on_subsets(
    distance: Callable[[np.ndarray, np.ndarray], float], extractor: str, sets: Sequence[Views], hr: Views
) -> Callable[[np.ndarray], list[float]]:
    """Return `distance` of each set as a function of image indices; features are computed once."""
    *made, real = [features(views, extractor) for views in (*sets, hr)]
    return lambda indices: [distance(a[indices], real[indices]) for a in made]


def fid(sr: Views, hr: Views) -> float:
    """Return the Frechet distance of Inception features (Heusel et al., 2017); 0 when equal.

    Weakness: its bias depends on the number of images; its gameability was not measured.
    """
    return frechet(features(sr, "inception"), features(hr, "inception"))


def kid(sr: Views, hr: Views) -> float:
    """Return the kernel distance of Inception features (Binkowski et al., 2018); can be below 0.

    Weakness: it is unbiased but spreads widely on few images; its gameability was not measured.
    """
    return kernel_distance(features(sr, "inception"), features(hr, "inception"))


def fd_random(sr: Views, hr: Views) -> float:
    """Return the Frechet distance of features of a constant random network; not an FID.

    Measured weakness (docs/metrics.md): noise of 15 grey levels bettered bicubic by 24 %, nearest neighbour
    by 16 %, and sharpening by 51 %.
    """
    return frechet(features(sr, "random"), features(hr, "random"))


PROJECTED = 64


def projected_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Frechet distance of features projected onto 64 orthonormal directions, the same in each run.

    The covariance of a few hundred images is singular in 1280 dimensions and not in 64.
    """
    _check_features(a, b)
    rng = np.random.default_rng(a.shape[1])
    directions = np.linalg.qr(rng.normal(size=(a.shape[1], min(PROJECTED, a.shape[1]))))[0]
    return frechet(a @ directions, b @ directions)


def fd_efficientnet(sr: Views, hr: Views) -> float:
    """Return the Frechet distance of 64 projections of EfficientNet-lite0's features; not an FID.

    Measured weakness (docs/metrics.md): JPEG of quality 50 betters it by 13 to 14 %, and an unsharp mask
    bettered bicubic by 15 %; noise and checkerboards do not.
    """
    return projected_frechet(features(sr, "efficientnet"), features(hr, "efficientnet"))


def kd_efficientnet(sr: Views, hr: Views) -> float:
    """Return the kernel distance of EfficientNet-lite0's features; not a KID, and it can be below 0.

    Measured weakness (docs/metrics.md): unsharp masks bettered bicubic by 13 to 55 %, a checkerboard of 2 px
    and one grey level by 49 %, JPEG of quality 50 by 30 %; on a few images its values scatter around 0.
    """
    return kernel_distance(features(sr, "efficientnet"), features(hr, "efficientnet"))
