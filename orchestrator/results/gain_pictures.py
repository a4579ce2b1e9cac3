"""Pictures of held-out images: those on which a network gains most, middling and least over a reference."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.results import image_strips
from trainers.metrics import METRICS, format_metric
from trainers.objectives import Objectives

WARM, BICUBIC = ("warm", "its warm start"), ("bicubic", "bicubic")
"""References: their prefix in tables of values per image, and their name in words."""


def choose(
    per_image: Mapping[str, Sequence[float]],
    keys: Sequence[str],
    objectives: Objectives,
    reference: tuple[str, str] = WARM,
) -> list[tuple[int, str]]:
    """Return index and caption of the best, median and worst image by the gain over `reference`.

    It is in the perceptual metric, or in the distortion if that is a metric of whole sets. Of fewer than
    three images each is chosen once.
    """
    prefix, name = reference
    metric = objectives.perceptual if objectives.perceptual in per_image else objectives.distortion
    own, base = (np.asarray(per_image[key]) for key in (metric, f"{prefix}/{metric}"))
    gain = (base - own) if METRICS[metric].direction == "min" else (own - base)
    order = np.argsort(gain, kind="stable")[::-1]
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    chosen: dict[int, str] = {}
    for word, index in places.items():
        values = f"{format_metric(metric, own[index])} ({name} {format_metric(metric, base[index])})"
        told = f"{word} of {len(order)} gains in {metric}"
        chosen.setdefault(int(index), f"{told}: {keys[index]}, {values}")
    return list(chosen.items())


def draw(
    pairs: Sequence[Any],
    results: Mapping[str, Sequence[np.ndarray]],
    chosen: Sequence[tuple[int, str]],
    scale: int,
) -> dict[str, Any]:
    """Return `png`, the sheet of the chosen images with a column for each of `results`, and `captions`."""
    rows = [
        image_strips.row_of(pairs[i], [images[i] for images in results.values()], scale) for i, _ in chosen
    ]
    return {"png": image_strips.tabulate(rows, results), "captions": [caption for _, caption in chosen]}
