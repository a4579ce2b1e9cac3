"""A finished network, or a baseline without one, on the test images of a study: numbers, a few pictures."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from datasets.loader import Pair, eval_pairs, eval_protocol
from orchestrator.studies.baselines import BASELINES
from orchestrator.studies.extra_metrics import EXTRA_PROTOCOLS, EXTRAS
from orchestrator.studies.spec import TestSet, Training, open_test
from trainers.evaluate import Evaluator
from trainers.metrics import domains

CPU = torch.device("cpu")
PICTURES = 4
"""Test images of which the result is kept, the first by key."""

Measured = dict[str, Any]
"""summary, per_image, keys, protocol of one test set, all plain JSON."""


def on_test(
    network: nn.Module, training: Training, test: TestSet, folder: Path, work_dir: Path, device: torch.device
) -> Measured:
    """The numbers of `network` on a test set; its first pictures go below `folder`."""
    scale = training.config.generator.scale
    evaluator, pairs = open_evaluator(test, scale, training.metrics, work_dir, device)
    images = evaluator.upscale(network)
    for i, image in enumerate(images[:PICTURES]):
        save_picture(image, folder / f"{test.name}-{i}.png")
    return _numbers(evaluator, images, pairs, training)


def of_baseline(kind: str, training: Training, test: TestSet, folder: Path, work_dir: Path) -> Measured:
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
    test: TestSet,
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
