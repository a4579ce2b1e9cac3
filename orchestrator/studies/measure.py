"""A finished network, or a baseline without one, on the test images of a study: numbers, a few pictures."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from datasets.config import DataConfig
from datasets.loader import Pair, eval_pairs, eval_protocol, open_images
from orchestrator.studies.plan import TestOn, Training, open_test
from trainers.evaluate import Evaluator, resize_up
from trainers.metrics import domains

CPU = torch.device("cpu")
PICTURES = 4
"""Test images of which the result is kept, the first by key."""

Measured = dict[str, Any]
"""summary, per_image, keys, protocol of one test set, all plain JSON."""


def on_test(
    network: nn.Module, training: Training, test: TestOn, folder: Path, work_dir: Path, device: torch.device
) -> Measured:
    """The numbers of `network` on a test set; its first pictures go below `folder`."""
    scale = training.config.generator.scale
    evaluator, pairs = open_evaluator(test, scale, training.metrics, work_dir, device)
    images = evaluator.upscale(network)
    for i, image in enumerate(images[:PICTURES]):
        save_picture(image, folder / f"{test.name}-{i}.png")
    return _numbers(evaluator, images, pairs, training)


def of_baseline(kind: str, training: Training, test: TestOn, folder: Path, work_dir: Path) -> Measured:
    """The same of no network: bicubic, nearest, or the mean training image; input and target are kept too."""
    scale = training.config.generator.scale
    evaluator, pairs = open_evaluator(test, scale, training.metrics, work_dir)
    images = BASELINES[kind](pairs, scale, test.data, work_dir)
    for i, pair in enumerate(pairs[:PICTURES]):
        save_picture(pair.lr_image, folder / f"{test.name}-input-{i}.png")
        save_picture(pair.hr, folder / f"{test.name}-target-{i}.png")
        save_picture(images[i], folder / f"{test.name}-{kind}-{i}.png")
    return _numbers(evaluator, images, pairs, training)


def save_picture(pixels: np.ndarray, path: Path) -> None:
    """A PNG of uint8 (H, W, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


@lru_cache(maxsize=8)
def open_evaluator(
    test: TestOn,
    scale: int,
    metrics: tuple[str, ...],
    work_dir: Path,
    device: torch.device = CPU,
) -> tuple[Evaluator, list[Pair]]:
    """The measure of a test set and its pairs; kept for the next training of the same worker."""
    images = open_test(test.data, work_dir)
    pairs = eval_pairs(images, test.data, scale, limit=test.first)
    protocol = eval_protocol(images, test.data) | ({"first": test.first} if test.first else {})
    return Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol), pairs


def _numbers(
    evaluator: Evaluator, images: Sequence[np.ndarray], pairs: Sequence[Pair], training: Training
) -> Measured:
    found = evaluator.measure_images(images)
    summary, per_image, protocol = dict(found.summary), dict(found.per_image), dict(found.protocol)
    targets = [pair.hr for pair in pairs]
    for name in training.extras:
        per_image[name] = [EXTRAS[name](a, b) for a, b in zip(images, targets, strict=True)]
        summary[name], protocol[name] = float(np.mean(per_image[name])), EXTRA_PROTOCOLS[name]
    if training.extractor:
        said = domains.protocol(training.extractor)
        summary |= domains.distances(images, targets, training.extractor)
        protocol |= dict.fromkeys(("fd_domains", "kd_domains"), f"{said}; n={len(pairs)}")
    return {"summary": summary, "per_image": per_image, "keys": found.keys, "protocol": protocol}


# -- measures of the studies' own ------------------------------------------------------------------------


def chroma(image: np.ndarray) -> np.ndarray:
    """Cb and Cr of uint8 RGB (H, W, 3) as float64 (H, W, 2), BT.601 full range, in grey levels around 0."""
    r, g, b = (image[..., k].astype(np.float64) for k in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([(b - y) * 0.564, (r - y) * 0.713], axis=-1)


def chroma_error(made: np.ndarray, real: np.ndarray) -> float:
    """RMSE of Cb and Cr in grey levels."""
    return float(np.sqrt(np.square(chroma(made) - chroma(real)).mean()))


def chroma_centre(made: np.ndarray, real: np.ndarray) -> float:
    """The same within the centre, half as high and wide as the image: where an aligned face is."""
    return chroma_error(_centre(made), _centre(real))


def chroma_border(made: np.ndarray, real: np.ndarray) -> float:
    """The same in the outermost eighth on each side: where the background is."""
    squares = np.square(chroma(made) - chroma(real)).mean(axis=-1)
    height, width = squares.shape
    inside = np.zeros_like(squares, dtype=bool)
    inside[height // 8 : height - height // 8, width // 8 : width - width // 8] = True
    return float(np.sqrt(squares[~inside].mean()))


def _centre(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return image[height // 4 : height - height // 4, width // 4 : width - width // 4]


def saturation(made: np.ndarray, real: np.ndarray) -> float:
    """Mean distance from grey of the result over that of the target; 1 is as colourful, 0 is grey."""
    levels = [float(np.linalg.norm(chroma(image), axis=-1).mean()) for image in (made, real)]
    return levels[0] / max(levels[1], 1.0)


def ssim_rgb(made: np.ndarray, real: np.ndarray) -> float:
    """SSIM with channels first and values in [0, 1], the window padded with zeros: a notebook's habit."""
    a, b = (torch.from_numpy(x.astype(np.float32) / 255).permute(2, 0, 1)[None] for x in (made, real))
    return _windowed_ssim(a, b)


def ssim_misread(made: np.ndarray, real: np.ndarray) -> float:
    """The same with rows read as channels and values up to 255, but constants for [0, 1]: a known mistake."""
    a, b = (torch.from_numpy(x.astype(np.float32))[None] for x in (made, real))
    return _windowed_ssim(a, b)


def _windowed_ssim(a: Tensor, b: Tensor) -> float:
    """Wang et al. (2004) with an 11 x 11 Gaussian of 1.5 in every channel, over all pixels, zeros outside."""
    channels = a.shape[1]
    line = torch.exp(-((torch.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    kernel = window.expand(channels, 1, 11, 11)

    def mean(x: Tensor) -> Tensor:
        return functional.conv2d(x, kernel, padding=5, groups=channels)

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    one, two = 0.01**2, 0.03**2
    return float(((2 * ma * mb + one) * (2 * both + two) / ((ma**2 + mb**2 + one) * (va + vb + two))).mean())


EXTRAS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "chroma_error": chroma_error,
    "chroma_centre": chroma_centre,
    "chroma_border": chroma_border,
    "saturation": saturation,
    "ssim_rgb": ssim_rgb,
    "ssim_misread": ssim_misread,
}

EXTRA_PROTOCOLS = {
    "chroma_error": "RMSE of BT.601 full-range Cb and Cr, 8-bit unshaved",
    "chroma_centre": "RMSE of Cb and Cr within the central half of each side",
    "chroma_border": "RMSE of Cb and Cr within the outer eighth of each side",
    "saturation": "mean distance from grey over that of the target",
    "ssim_rgb": "SSIM of RGB in [0, 1], 11x11 gaussian 1.5, zeros outside, 8-bit unshaved",
    "ssim_misread": "as ssim_rgb, but rows read as channels, values to 255, constants of [0, 1]",
}

EXTRA_DIRECTIONS = {
    "chroma_error": "min",
    "chroma_centre": "min",
    "chroma_border": "min",
    "fd_domains": "min",
    "kd_domains": "min",
}


# -- baselines -------------------------------------------------------------------------------------------


def _resized(kind: str) -> Callable[..., list[np.ndarray]]:
    def enlarge(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
        return [resize_up(p.lr_image, scale, kind, data.degradation) for p in pairs]

    return enlarge


def _mean_image(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """The mean of the training images, cut as the test images are: what can be said without looking."""
    mean = mean_training_image(data, work_dir)
    return [mean for _ in pairs]


def _tint(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """The grey input plus the mean colour of the training images: all that one tint can do."""
    mean = mean_training_image(data, work_dir).reshape(-1, 3).mean(axis=0)
    tint = mean - mean @ (0.299, 0.587, 0.114)
    return [np.clip(p.lr_image + tint + 0.5, 0, 255).astype(np.uint8) for p in pairs]


@lru_cache(maxsize=8)
def mean_training_image(data: DataConfig, work_dir: Path) -> np.ndarray:
    """uint8 (crop, crop, 3): the mean of the training images, each cut as data.eval_crop_px says."""
    images = open_images(data.train, "train", work_dir=work_dir, data=data)
    pairs = eval_pairs(images, data, 1)
    total = sum(pair.hr.astype(np.float64) for pair in pairs)
    return np.asarray(total / len(pairs) + 0.5).astype(np.uint8)


BASELINES: dict[str, Callable[..., list[np.ndarray]]] = {
    "bicubic": _resized("bicubic"),
    "nearest": _resized("nearest"),
    "grey": _resized("bicubic"),  # at scale 1 the input itself
    "tint": _tint,
    "mean image": _mean_image,
}
