"""Measuring finished networks on images they never saw, each in a Ray task of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.cluster.capacity import Capacity
from orchestrator.storage import Storage

if TYPE_CHECKING:
    from orchestrator.sweep.request import Request


def evaluate_checkpoints(
    checkpoints: Sequence[tuple[str, str]], role: str, request: "Request", digest: str, capacity: Capacity
) -> list[dict[str, Any]]:
    """The evaluation of each network, of its warm start (two URLs) and of bicubic on `role`, in order."""
    gpus = request.gpus_per_rank if capacity.gpus else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus)(_measure)
    work_dir, metrics = request.work_dir, request.metrics
    waiting = [task.remote(url, warm, role, work_dir, metrics, digest, gpus) for url, warm in checkpoints]
    return ray.get(waiting)


def _fetch(url: str, work_dir: Path) -> Path:
    root, _, name = url.rpartition("/")
    return Storage(root).fetch(name, work_dir / "scratch" / name)


def _measure(
    url: str,
    warm_url: str,
    role: str,
    work_dir: Path,
    metrics: tuple[str, ...],
    digest: str,
    gpus: float = 0.0,
) -> dict[str, Any]:
    began, cpu_began = time.monotonic(), time.process_time()
    import torch

    from datasets.loader import eval_pairs, eval_protocol
    from orchestrator.trial.inputs import open_role
    from trainers.checkpoint import load_generator
    from trainers.device import pick_device
    from trainers.evaluate import Evaluator

    generator, config = load_generator(_fetch(url, work_dir))
    device = pick_device(config.run.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    images = open_role(config.data, role, work_dir)
    if images.digest != digest:
        raise RuntimeError(f"data.{role} holds other images on this node than on the driver's")
    scale = config.generator.scale
    pairs = eval_pairs(images, config.data, scale)
    protocol = eval_protocol(images, config.data)
    evaluator = Evaluator(pairs, metrics, scale=scale, device=device, protocol=protocol)
    evaluation = evaluator.measure(generator.to(device))
    warm, _ = load_generator(_fetch(warm_url, work_dir))
    per_image, summary = dict(evaluation.per_image), dict(evaluation.summary)
    others = {"warm": evaluator.measure(warm.to(device)), "bicubic": evaluator.measure_resizer("bicubic")}
    for name, other in others.items():  # on the same images, so that differences can be paired
        summary |= {f"{name}/{m}": v for m, v in other.summary.items()}
        per_image |= {f"{name}/{m}": v for m, v in other.per_image.items()}
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_began
    return {
        "summary": summary,
        "per_image": per_image,
        "keys": evaluation.keys,
        "protocol": evaluation.protocol,
        "gpu_hours": seconds / 3600 * gpus if device.type == "cuda" else 0.0,
        "cpu_hours": cpu_seconds / 3600,
    }
