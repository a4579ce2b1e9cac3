"""The data and the evaluator of a trial, kept for the next trial of the same worker."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from datasets.config import DataConfig
from datasets.image_set import ImageSet, open_images
from datasets.loader import Pair, TrainLoader, eval_pairs, eval_protocol
from trainers.evaluate import Evaluator


class Inputs(NamedTuple):
    """What a run reads and is measured by."""

    loader: TrainLoader
    evaluator: Evaluator
    pairs: list[Pair]


@lru_cache(maxsize=4)
def open_inputs(
    data: DataConfig,
    scale: int,
    metrics: tuple[str, ...],
    work_dir: str,
    digests: tuple[tuple[str, str], ...],
    device: torch.device,
    seat: tuple[int, int] = (0, 1),
) -> Inputs:
    """Data and measure of a run; kept for the next trial of the same worker, since neither changes.

    `seat` is this process's rank, and how many there are. Refuses images other than those the driver saw.
    """
    images = {role: open_role(data, role, work_dir) for role in ("train", "val")}
    for role, digest in digests:
        if role in images and images[role].digest != digest:
            raise RuntimeError(f"data.{role} holds other images on this node than on the driver's")
    pairs = eval_pairs(images["val"], data, scale, limit=data.eval_images)
    protocol = eval_protocol(images["val"], data)
    return Inputs(
        TrainLoader(images["train"], data, scale, device=device, rank=seat[0], world=seat[1]),
        Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol),
        pairs,
    )


def open_role(data: DataConfig, role: str, work_dir: str | Path) -> ImageSet:
    """The images of one role, imported and decoded under `work_dir` where that was not done before."""
    return open_images(data.source(role), role, work_dir=Path(work_dir), data=data)
