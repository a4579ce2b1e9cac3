"""The images that only promotion sees, and what models measure on them.

Opening the set checks that it shares no image with the training images. What the numbers mean for a
promotion is orchestrator.registry.gate's business.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.image_set import disjoint, open_images
from datasets.loader import eval_pairs, eval_protocol
from orchestrator.analysis.intervals import Interval, jackknife_difference
from orchestrator.registry.defects import grid_pattern, mean_tint
from trainers.config import TrainConfig
from trainers.evaluate import Evaluation, Evaluator, resize_up
from trainers.metrics import METRICS

GROUPS = 10
TIMED_RUNS = 3


@dataclass(frozen=True)
class Measured:
    """A model's numbers, and its images for differences of set-level metrics."""

    evaluation: Evaluation
    images: list[np.ndarray]
    seconds: float = 0.0
    """Time of the whole set at its fastest; 0 where it was not taken."""


class GateImages:
    """The gate images of a config, with both objectives.

    UserError where a gate image (or a near duplicate of one) is among the training images.
    """

    def __init__(self, config: TrainConfig, work_dir: Path, device: torch.device) -> None:
        data, scale = config.data, config.generator.scale
        self.images = open_images(data.source("gate"), "gate", work_dir=work_dir, data=data)
        self.train = open_images(data.source("train"), "train", work_dir=work_dir, data=data)
        disjoint(self.train, self.images)
        self.metrics = (config.objective.distortion, config.objective.perceptual)
        self.pairs = eval_pairs(self.images, data, scale)
        self.scale, self.device = scale, device
        facts = {"role": "gate", **eval_protocol(self.images, data)}
        self.evaluator = Evaluator(self.pairs, self.metrics, scale=scale, device=device, protocol=facts)

    def measure(self, generator: Callable[[Tensor], Tensor]) -> Measured:
        """Both objectives of `generator`, a function of (N, 3, h, w) in [0, 1]."""
        taken = []
        for _ in range(TIMED_RUNS):  # the fastest: other work on the machine only ever adds
            began = time.perf_counter()
            images = self.evaluator.upscale(generator)
            taken.append(time.perf_counter() - began)
        return Measured(self.evaluator.measure_images(images), images, min(taken))

    def measure_bicubic(self) -> Measured:
        """Both objectives of the plain bicubic image, the baseline of every table."""
        images = [resize_up(pair.lr_image, self.scale, "bicubic") for pair in self.pairs]
        return Measured(self.evaluator.measure_images(images), images)

    def faults(self, candidate: Measured, champion: Measured | None) -> dict[str, float]:
        """What the gate limits beside the objectives; speed only against a champion."""
        real = [pair.hr for pair in self.pairs]
        found = {
            "colour_shift": mean_tint(candidate.images, real),
            "checkerboard": grid_pattern(candidate.images, real, self.scale),
        }
        return found | ({"slowdown": candidate.seconds / champion.seconds} if champion else {})

    def set_differences(
        self, candidate: Measured, references: Mapping[str, Measured]
    ) -> dict[tuple[str, str], Interval]:
        """(metric, reference) -> candidate minus reference, for the objectives that judge a whole set.

        By the jackknife over groups of images, the same images for all models. Fewer than four images give
        an interval without limits.
        """
        found = {}
        for metric in (m for m in self.metrics if METRICS[m].level == "set"):
            measure = _Subsets(self, metric, {"": candidate, **references})
            for name in references:
                found[metric, name] = _interval(measure, name, len(self.pairs))
        return found


class _Subsets:
    """A set-level metric of several models on subsets of the images, each subset measured once."""

    def __init__(self, gate_set: GateImages, metric: str, models: Mapping[str, Measured]) -> None:
        self.gate_set, self.metric, self.models = gate_set, metric, models
        self.known: dict[bytes, dict[str, float]] = {}

    def __call__(self, indices: np.ndarray) -> dict[str, float]:
        key = indices.tobytes()
        if key not in self.known:
            pairs = [self.gate_set.pairs[i] for i in indices]
            evaluator = Evaluator(
                pairs, [self.metric], scale=self.gate_set.scale, device=self.gate_set.device, protocol={}
            )
            self.known[key] = {
                name: evaluator.measure_images([model.images[i] for i in indices]).summary[self.metric]
                for name, model in self.models.items()
            }
        return self.known[key]


def _interval(measure: _Subsets, name: str, n: int) -> Interval:
    def difference(indices: np.ndarray) -> float:
        values = measure(indices)
        return values[""] - values[name]

    if n < 4:
        return Interval(difference(np.arange(n)), -np.inf, np.inf, n)
    return jackknife_difference(difference, n, groups=min(GROUPS, n // 2))
