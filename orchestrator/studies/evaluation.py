"""Evaluate a finished network or a baseline on the test images of a study: metrics and a few pictures."""

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
from orchestrator.studies.extra_metrics import EXTRAS
from orchestrator.studies.spec import StudyTestSet, Training, open_test
from trainers.evaluate import Evaluator
from trainers.metrics import domains
from trainers.sentinels import edit

CPU = torch.device("cpu")
PICTURES = 4
"""Number of test images, the first by key, whose output is saved."""

Measured = dict[str, Any]
"""summary, per_image, keys and protocol of one test set, all plain JSON."""


def evaluate_network(
    network: nn.Module,
    training: Training,
    test: StudyTestSet,
    folder: Path,
    work_dir: Path,
    device: torch.device,
    strength: float = 0.0,
) -> Measured:
    """Measure `network` on a test set; save its first outputs as `folder`/TEST-INDEX.png.

    The outputs of a sentinel are edited with `strength` before.
    """
    evaluator, pairs = open_evaluator(
        test, training.config.generator.scale, training.metrics, work_dir, device
    )
    images = evaluator.upscale(network)
    if training.edit:
        images = edit(training.edit, strength, images)
    for i, image in enumerate(images[:PICTURES]):
        save_picture(image, folder / f"{test.name}-{i}.png")
    return _measure(evaluator, images, pairs, training)


def evaluate_baseline(
    kind: str, training: Training, test: StudyTestSet, folder: Path, work_dir: Path
) -> Measured:
    """Measure a baseline on a test set; save its first pictures with their input and target."""
    scale = training.config.generator.scale
    evaluator, pairs = open_evaluator(test, scale, training.metrics, work_dir)
    images = BASELINES[kind](pairs, scale, test.data, work_dir)
    for i, pair in enumerate(pairs[:PICTURES]):
        for name, pixels in (("input", pair.lr_image), ("target", pair.hr), (kind, images[i])):
            save_picture(pixels, folder / f"{test.name}-{name}-{i}.png")
    return _measure(evaluator, images, pairs, training)


def save_picture(pixels: np.ndarray, path: Path) -> None:
    """Write uint8 (H, W, 3) as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


@lru_cache(maxsize=8)
def open_evaluator(
    test: StudyTestSet, scale: int, metrics: tuple[str, ...], work_dir: Path, device: torch.device = CPU
) -> tuple[Evaluator, list[Pair]]:
    """Return the evaluator of a test set and its pairs; cached for the next training of this process."""
    images = open_test(test.data, work_dir)
    pairs = eval_pairs(images, test.data, scale, limit=test.first)
    protocol = eval_protocol(images, test.data) | ({"first": test.first} if test.first else {})
    return Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol), pairs


def _measure(
    evaluator: Evaluator, images: Sequence[np.ndarray], pairs: Sequence[Pair], training: Training
) -> Measured:
    evaluation = evaluator.measure_images(images)
    summary, per_image = dict(evaluation.summary), dict(evaluation.per_image)
    protocol = dict(evaluation.protocol)
    targets = [pair.hr for pair in pairs]
    for name in training.extras:
        extra = EXTRAS[name]
        assert extra.function is not None
        per_image[name] = [extra.function(a, b) for a, b in zip(images, targets, strict=True)]
        summary[name], protocol[name] = float(np.mean(per_image[name])), extra.protocol
    if training.extractor:
        text = f"{domains.protocol(training.extractor)}; n={len(pairs)}"
        summary |= domains.distances(images, targets, training.extractor)
        protocol |= dict.fromkeys(("fd_domains", "kd_domains"), text)
    return {"summary": summary, "per_image": per_image, "keys": evaluation.keys, "protocol": protocol}
