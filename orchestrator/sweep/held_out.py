"""The test stage's measurements: finished networks on images they never saw, each in a Ray task."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets.loader import eval_pairs, eval_protocol
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import worker_device
from orchestrator.storage import Storage
from orchestrator.sweep.request import Request
from orchestrator.trial.inputs import open_role
from trainers.checkpoint import load_generator
from trainers.config import TrainConfig
from trainers.device import limit_memory
from trainers.evaluate import Evaluator


@dataclass(frozen=True)
class HeldOutImages:
    """The arguments that all tasks share: the images of one role, and the metrics to measure on them."""

    role: str
    digest: str
    """Digest of the images as the driver saw them."""
    work_dir: Path
    metrics: tuple[str, ...]
    gpus: float = 0.0
    """GPUs of a task; a fraction is a share of one GPU."""


def evaluate_checkpoints(
    checkpoints: Sequence[tuple[str, str]], role: str, request: Request, digest: str, capacity: Capacity
) -> list[dict[str, Any]]:
    """Evaluate each network in a Ray task on the images of `role`; return the results in order.

    `checkpoints` are pairs of URLs of checkpoint folders: of the network, and of the warm start that its GAN
    phase began with. Each result is that of `evaluate`. A task raises RuntimeError if the images on its node
    do not have `digest`.
    """
    images = _images(role, request, digest, capacity)
    return run_tasks(evaluate, [(url, warm, images) for url, warm in checkpoints], gpus=images.gpus)


def evaluate_on_val(
    network: nn.Module, request: Request, digest: str, capacity: Capacity
) -> dict[str, float]:
    """Return the metrics of a network on val, by the protocol of a sweep's rows, measured in a Ray task.

    The task raises RuntimeError if the images on its node do not have `digest`.
    """
    images = _images("val", request, digest, capacity)
    return run_tasks(_summary, [(network, request.config, images)], gpus=images.gpus)[0]


def _summary(network: nn.Module, config: TrainConfig, held_out: HeldOutImages) -> dict[str, float]:
    evaluator, device = _open_evaluator(config, held_out)
    return evaluator.measure(network.to(device)).summary


def _images(role: str, request: Request, digest: str, capacity: Capacity) -> HeldOutImages:
    gpus = request.gpus_per_rank if capacity.gpus else 0.0
    return HeldOutImages(role, digest, request.work_dir, request.metrics, gpus)


def evaluate(url: str, warm_url: str, held_out: HeldOutImages) -> dict[str, Any]:
    """Measure a network, its warm start and bicubic on the same images, so that differences can be paired.

    Returns summary and per_image (the others' under warm/ and bicubic/), keys, protocol and the time spent.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    generator, config = load_generator(_fetch(url, held_out.work_dir))
    warm, _ = load_generator(_fetch(warm_url, held_out.work_dir))
    evaluator, device = _open_evaluator(config, held_out)
    own = evaluator.measure(generator.to(device))
    per_image, summary = dict(own.per_image), dict(own.summary)
    others = {"warm": evaluator.measure(warm.to(device)), "bicubic": evaluator.measure_resizer("bicubic")}
    for name, other in others.items():
        summary |= {f"{name}/{m}": v for m, v in other.summary.items()}
        per_image |= {f"{name}/{m}": v for m, v in other.per_image.items()}
    seconds = time.monotonic() - began
    return {
        "summary": summary,
        "per_image": per_image,
        "keys": own.keys,
        "protocol": own.protocol,
        "gpu_hours": seconds / 3600 * held_out.gpus if device.type == "cuda" else 0.0,
        "cpu_hours": (time.process_time() - cpu_began) / 3600,
    }


def _open_evaluator(config: TrainConfig, held_out: HeldOutImages) -> tuple[Evaluator, torch.device]:
    """Return the evaluator on these images, and this task's device, on which it measures."""
    device = worker_device(config.run.device)
    limit_memory(device, held_out.gpus)
    if device.type == "cpu":
        torch.set_num_threads(1)
    images = open_role(config.data, held_out.role, held_out.work_dir)
    if images.digest != held_out.digest:
        raise RuntimeError(f"data.{held_out.role} holds other images on this node than on the driver's")
    scale, protocol = config.generator.scale, eval_protocol(images, config.data)
    limit = config.data.eval_images if held_out.role == "val" else 0
    pairs = eval_pairs(images, config.data, scale, limit=limit)
    return Evaluator(pairs, held_out.metrics, scale=scale, device=device, protocol=protocol), device


def _fetch(url: str, work_dir: Path) -> Path:
    root, _, name = url.rpartition("/")
    return Storage(root).fetch(name, work_dir / "scratch" / name)
