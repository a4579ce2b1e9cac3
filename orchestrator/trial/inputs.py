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
    """The data and the evaluator of a run."""

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
    """Open the data and the evaluator of a run; cached for later trials of the worker, since neither changes.

    `digests` are (role, digest of the driver's images), `seat` is (rank of this process, number of ranks).

    Raises:
        RuntimeError: the images on this node differ from the driver's.
    """
    expected = dict(digests)
    train, val = (open_role(data, role, work_dir, expected.get(role, "")) for role in ("train", "val"))
    loader = TrainLoader(train, data, scale, device=device, rank=seat[0], world=seat[1])
    return Inputs(loader, *open_evaluator(val, data, scale, metrics, device, limit=data.eval_images))


def open_role(data: DataConfig, role: str, work_dir: str | Path, digest: str = "") -> ImageSet:
    """Open the images of one role; the first time they are imported and decoded below `work_dir`.

    Raises:
        RuntimeError: `digest` is given, and the images on this node have another one.
    """
    images = open_images(data.source(role), role, work_dir=Path(work_dir), data=data)
    if digest and images.digest != digest:
        raise RuntimeError(f"data.{role} holds other images on this node than on the driver's")
    return images


def open_evaluator(
    images: ImageSet,
    data: DataConfig,
    scale: int,
    metrics: tuple[str, ...],
    device: torch.device | str = "cpu",
    *,
    limit: int = 0,
) -> tuple[Evaluator, list[Pair]]:
    """Return the evaluator of the first `limit` images by key (0: all), and their HR/LR pairs."""
    pairs, protocol = eval_pairs(images, data, scale, limit=limit), eval_protocol(images, data)
    return Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol), pairs
