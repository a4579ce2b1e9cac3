"""Baselines that no study trains: resizing, a public network, the mean training image, one tint for all.

Each is a function (pairs, scale, data, work_dir) -> outputs as uint8 (H, W, 3), one per pair.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from datasets.config import DataConfig
from datasets.degrade import down
from datasets.image_set import open_images
from datasets.loader import Pair, eval_pairs
from trainers.evaluate import resize_up
from trainers.inference.tiling import upscale
from trainers.sentinels import edit
from trainers.start import read_start
from trainers.weights import missing

PUBLIC = "RealSR-DF2K"
"""An RRDB of ESRGAN's size, trained as a GAN on DIV2K and Flickr2K (Ji et al., 2020): the public weights that
packages carry; those of ESRGAN's authors are in none."""
PUBLIC_WEIGHTS = "realsr_df2k_x4"
SHARPENED = 1.0
"""Factor of the unsharp mask on the detail finer than its radius."""

Baseline = Callable[[Sequence[Pair], int, DataConfig, Path], list[np.ndarray]]


def _resized(method: str) -> Baseline:
    def enlarge(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
        return [resize_up(p.lr_image, scale, method, data.degradation) for p in pairs]

    return enlarge


def _sharpened(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """Return bicubic enlargements under an unsharp mask, which restores nothing: a GAN must better them."""
    return edit("sharpened", SHARPENED, BASELINES["bicubic"](pairs, scale, data, work_dir))


def _public(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """Return the outputs of PUBLIC, a network for x4, reduced to the study's scale by MATLAB's bicubic."""
    start = read_start(PUBLIC_WEIGHTS, work_dir)
    network, own_scale = start.build(), start.generator.scale
    images = []
    for pair in pairs:
        large = torch.from_numpy(upscale(network, pair.lr_image, scale=own_scale)).permute(2, 0, 1)
        images.append(down(large[None], own_scale // scale)[0].permute(1, 2, 0).contiguous().numpy())
    return images


def _mean_image(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """Return the mean training image for every pair: the best constant output, which ignores the input."""
    mean = mean_training_image(data, work_dir)
    return [mean for _ in pairs]


def _tint(pairs: Sequence[Pair], scale: int, data: DataConfig, work_dir: Path) -> list[np.ndarray]:
    """Return each grey input plus the mean colour of the training images: the best that one tint can do."""
    mean = mean_training_image(data, work_dir).reshape(-1, 3).mean(axis=0)
    tint = mean - mean @ (0.299, 0.587, 0.114)
    return [np.clip(p.lr_image + tint + 0.5, 0, 255).astype(np.uint8) for p in pairs]


@lru_cache(maxsize=8)
def mean_training_image(data: DataConfig, work_dir: Path) -> np.ndarray:
    """Return the mean training image, cropped as data.eval_crop_px says: uint8 (crop, crop, 3)."""
    images = open_images(data.train, "train", work_dir=work_dir, data=data)
    pairs = eval_pairs(images, data, 1)
    total = sum(pair.hr.astype(np.float64) for pair in pairs)
    return np.asarray(total / len(pairs) + 0.5).astype(np.uint8)


BASELINES: dict[str, Baseline] = {
    "bicubic": _resized("bicubic"),
    "bicubic, sharpened": _sharpened,
    "nearest": _resized("nearest"),
    PUBLIC: _public,
    "grey": _resized("bicubic"),  # at scale 1 the input itself
    "tint": _tint,
    "mean image": _mean_image,
}


def lacking(kind: str) -> str:
    """Return how to get the weights that baseline `kind` lacks; empty if it can be measured."""
    if kind != PUBLIC or not missing([PUBLIC_WEIGHTS]):
        return ""
    return f"{kind} is left out: its weights are not installed (upsweep weights {PUBLIC_WEIGHTS})"
