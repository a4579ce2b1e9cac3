"""Pictures of the test stage: images on which a network gains most, middling and least."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.results import image_strips
from trainers.metrics import METRICS, format_metric
from trainers.objectives import Objectives


def choose(
    per_image: Mapping[str, Sequence[float]], keys: Sequence[str], objectives: Objectives
) -> list[tuple[int, str]]:
    """Return index and caption of the best, median and worst image by the gain over the warm start.

    It is in the perceptual metric, or in the distortion if that is a metric of whole sets. Of fewer than
    three images each is chosen once.
    """
    metric = objectives.perceptual if objectives.perceptual in per_image else objectives.distortion
    own, warm = (np.asarray(per_image[name]) for name in (metric, f"warm/{metric}"))
    gain = (warm - own) if METRICS[metric].direction == "min" else (own - warm)
    order = np.argsort(gain, kind="stable")[::-1]
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    chosen: dict[int, str] = {}
    for word, index in places.items():
        values = f"{format_metric(metric, own[index])}, its warm start {format_metric(metric, warm[index])}"
        chosen.setdefault(int(index), f"{word} gain of {len(order)}: {keys[index]}, {metric} {values}")
    return list(chosen.items())


def draw(
    pairs: Sequence[Any],
    own: Sequence[np.ndarray],
    warm: Sequence[np.ndarray],
    chosen: Sequence[tuple[int, str]],
    scale: int,
) -> dict[str, Any]:
    """Return `png`, the sheet of the chosen images, and `captions`, one per row."""
    rows = [image_strips.row_of(pairs[i], (warm[i], own[i]), scale) for i, _ in chosen]
    return {
        "png": image_strips.tabulate(rows, ("warm start", "ours")),
        "captions": [caption for _, caption in chosen],
    }
