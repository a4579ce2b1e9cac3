"""The images that only promotion sees, and what models measure on them.

Opening the set checks that it shares no image with the training images. What the numbers mean for a
promotion is orchestrator.gate's business.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.loader import disjoint, eval_pairs, open_images
from orchestrator.gate import block_jackknife
from orchestrator.statistics import Interval
from trainers.config import TrainConfig
from trainers.evaluate import Evaluation, Evaluator
from trainers.metrics import METRICS

BLOCKS = 10


@dataclass(frozen=True)
class Measured:
    """A model's numbers, and its images for differences of set-level metrics."""

    evaluation: Evaluation
    images: list[np.ndarray]


class GateSet:
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
        facts = {"role": "gate", "images": self.images.digest, "degradation": data.degradation}
        self.evaluator = Evaluator(self.pairs, self.metrics, scale=scale, device=device, protocol=facts)

    def measure(self, generator: Callable[[Tensor], Tensor]) -> Measured:
        """Both objectives of `generator`, a function of (N, 3, h, w) in [0, 1]."""
        images = self.evaluator.upscale(generator)
        return Measured(self.evaluator.measure_images(images), images)

    def measure_bicubic(self) -> Measured:
        """Both objectives of the plain bicubic image, the baseline of every table."""
        from trainers.evaluate import resize_up

        images = [resize_up(pair.lr_image, self.scale, "bicubic") for pair in self.pairs]
        return Measured(self.evaluator.measure_images(images), images)

    def set_differences(
        self, candidate: Measured, references: Mapping[str, Measured]
    ) -> dict[tuple[str, str], Interval]:
        """(metric, reference) -> candidate minus reference, for the objectives that judge a whole set.

        By the jackknife over blocks of images, the same blocks for all models. Two images or fewer give an
        interval without limits.
        """
        found = {}
        for metric in (m for m in self.metrics if METRICS[m].level == "set"):
            models = {"": candidate, **references}
            whole = {name: model.evaluation.summary[metric] for name, model in models.items()}
            parts = [self._without(metric, block, models) for block in self._blocks()]
            for name in references:
                without = [part[""] - part[name] for part in parts]
                difference = whole[""] - whole[name]
                found[metric, name] = (
                    block_jackknife(difference, without, len(self.pairs))
                    if len(without) > 1
                    else Interval(difference, -np.inf, np.inf, len(self.pairs))
                )
        return found

    def _blocks(self) -> list[np.ndarray]:
        n = len(self.pairs)
        order = np.random.default_rng(0).permutation(n)  # neighbours come from one photograph
        return np.array_split(order, min(BLOCKS, n)) if n > 2 else []

    def _without(self, metric: str, block: np.ndarray, models: Mapping[str, Measured]) -> dict[str, float]:
        left = [i for i in range(len(self.pairs)) if i not in set(block.tolist())]
        evaluator = Evaluator(
            [self.pairs[i] for i in left], [metric], scale=self.scale, device=self.device, protocol={}
        )
        return {
            name: evaluator.measure_images([model.images[i] for i in left]).summary[metric]
            for name, model in models.items()
        }
