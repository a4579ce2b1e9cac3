"""The gate images, which only promotion uses, and the measurement of models on them.

Opening the set checks that it shares no image with the training images. orchestrator.registry.gate decides
about the measured values.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.image_set import disjoint, open_images
from datasets.loader import eval_pairs, eval_protocol
from orchestrator.analysis.intervals import Interval, set_difference
from orchestrator.registry.gate import LEVEL
from orchestrator.results import gain_pictures
from trainers.config import TrainConfig
from trainers.evaluate import Evaluation, Evaluator, resize_up
from trainers.metrics import METRICS
from trainers.objectives import Objectives, measured_metrics

TIMED_RUNS = 3
ENOUGH_S = 10.0
"""Seconds of upscaling after which a time needs no further run: other work weighs little in so long a one."""


@dataclass(frozen=True)
class Measured:
    """A model's metrics, and its images for differences of set-level metrics."""

    evaluation: Evaluation
    images: list[np.ndarray]
    seconds: float = 0.0
    """Time for the whole set, the fastest of the runs; 0 if it was not measured."""


class GateImages:
    """The gate images of a config, on which both objectives are measured.

    UserError if a gate image (or a near duplicate of one) is among the training images.
    """

    def __init__(
        self,
        config: TrainConfig,
        work_dir: Path,
        device: torch.device,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """`progress` is called if images are imported (datasets.validate.Progress)."""
        data, scale = config.data, config.generator.scale
        self.images, self.train = (
            open_images(data.source(role), role, work_dir=work_dir, data=data, progress=progress)
            for role in ("gate", "train")
        )
        disjoint(self.train, self.images)
        self.objectives = Objectives.of(config.objective)
        self.pairs = eval_pairs(self.images, data, scale)
        self.scale, self.device = scale, device
        facts = {"role": "gate", **eval_protocol(self.images, data)}
        self.evaluator = Evaluator(
            self.pairs, measured_metrics(config), scale=scale, device=device, protocol=facts
        )
        self.metrics = tuple(metric.name for metric in self.evaluator.metrics)  # pairs lack LR consistency

    def measure(
        self,
        generator: Callable[[Tensor], Tensor],
        runs: int = 1,
        progress: Callable[[int, int], None] = lambda done, parts: None,
    ) -> Measured:
        """Measure both objectives of `generator`, a function of (N, 3, h, w) in [0, 1], and its time.

        The images are upscaled `runs` times, or until that has taken ENOUGH_S: a time that counts needs
        TIMED_RUNS. `progress` is called with
        the number of parts that are done, and of all.
        """
        seconds = []
        for run in range(runs):  # the fastest counts: other work on the machine only adds time
            progress(run, runs + 1)
            start = time.perf_counter()
            images = self.evaluator.upscale(generator)
            seconds.append(time.perf_counter() - start)
            if sum(seconds) > ENOUGH_S:
                break
        progress(runs, runs + 1)
        return Measured(self.evaluator.measure_images(images), images, min(seconds))

    def measure_bicubic(self) -> Measured:
        """Measure both objectives of bicubic interpolation, the baseline of every table."""
        peak = self.evaluator.format.peak
        images = [resize_up(pair.lr_image, self.scale, "bicubic", peak=peak) for pair in self.pairs]
        return Measured(self.evaluator.measure_images(images), images)

    def pictures(self, candidate: Measured, bicubic: Measured) -> dict[str, Any]:
        """Return `png`, a sheet of the best, median and worst gain over bicubic, and `captions`."""
        own, base = candidate.evaluation, bicubic.evaluation.per_image
        values = own.per_image | {f"bicubic/{metric}": numbers for metric, numbers in base.items()}
        chosen = gain_pictures.choose(values, own.keys, self.objectives, gain_pictures.BICUBIC)
        return gain_pictures.draw(self.pairs, {"ours": candidate.images}, chosen, self.scale)

    def sides(self) -> tuple[int, int]:
        """Return the shortest and the longest side of any gate image, in pixels."""
        sides = [side for pair in self.pairs for side in pair.hr.shape[:2]]
        return min(sides), max(sides)

    def defects(self, candidate: Measured, champion: Measured | None) -> dict[str, float]:
        """Return the values that the gate limits (names as in gate.DEFECTS); slowdown needs a champion."""
        real, level = [pair.hr for pair in self.pairs], 255 / self.evaluator.format.peak
        values = {"mean_tint": level * mean_tint(candidate.images, real)}
        return values | ({"slowdown": candidate.seconds / champion.seconds} if champion else {})

    def set_differences(
        self, candidate: Measured, references: Mapping[str, Measured]
    ) -> dict[tuple[str, str], Interval]:
        """Return {(metric, reference): interval of candidate minus reference} for set-level objectives.

        The interval is a jackknife over groups of images, equal groups for all models; below four images it
        has no limits.
        """
        intervals = {}
        for metric in (m for m in self.metrics if METRICS[m].level == "set"):
            others = {name: reference.images for name, reference in references.items()}
            for name, difference in self.evaluator.differences(metric, candidate.images, others).items():
                intervals[metric, name] = set_difference(difference, len(self.pairs), level=LEVEL)
        return intervals


def mean_tint(made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> float:
    """Return the largest mean difference of a band over the set, in grey levels of the images.

    `made` and `real` are equally long lists of images (H, W, bands). Signed differences are averaged over the
    set first, so that noise cancels and a tint does not. The metric colour_shift is another quantity.
    """
    shifts = [sr.mean(axis=(0, 1)) - hr.mean(axis=(0, 1)) for sr, hr in zip(made, real, strict=True)]
    return float(np.abs(np.mean(shifts, axis=0)).max())
