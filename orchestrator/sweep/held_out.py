"""The test stage's measurements: finished networks on images they never saw, each in a Ray task."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from datasets.loader import Pair
from orchestrator.analysis.intervals import Interval, paired_bootstrap, set_difference
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import worker_device
from orchestrator.results import gain_pictures
from orchestrator.results.sentinels import SENTINELS
from orchestrator.storage import Storage
from orchestrator.sweep.request import Request
from orchestrator.trial.inputs import open_evaluator, open_role
from trainers.checkpoint import load_generator
from trainers.config import TrainConfig
from trainers.device import limit_memory
from trainers.evaluate import Evaluation, Evaluator
from trainers.metrics import METRICS
from trainers.numerics import use_threads
from trainers.objectives import GRID, GRID_LIMIT, Objectives
from trainers.sentinels import STRENGTHS, edit, strongest


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
    objectives: Objectives | None = None
    """If given, compare with the sentinels by its perceptual metric."""
    second_opinion: str = ""
    """If given, compare with the networks beside by this metric too, where its weights are installed."""


def evaluate_checkpoints(
    checkpoints: Sequence[tuple[str, Mapping[str, str]]],
    images: HeldOutImages,
) -> list[dict[str, Any]]:
    """Evaluate each network in a Ray task on held-out images; return the results of `evaluate` in order.

    `checkpoints` are pairs of the network's URL and the URLs of networks to measure beside it, by name.
    A task raises RuntimeError if the images on its node do not have the driver's digest.
    """
    return run_tasks(evaluate, [(url, beside, images) for url, beside in checkpoints], gpus=images.gpus)


def evaluate_on_val(
    network: nn.Module, request: Request, digest: str, capacity: Capacity
) -> dict[str, float]:
    """Return the metrics of a network on val, by the protocol of a sweep's rows, measured in a Ray task.

    The task raises RuntimeError if the images on its node do not have `digest`.
    """
    images = images_of("val", request, digest, capacity)
    return run_tasks(_summary, [(network, request.config, images)], gpus=images.gpus)[0]


def _summary(network: nn.Module, config: TrainConfig, held_out: HeldOutImages) -> dict[str, float]:
    device = _device(config, held_out)
    evaluator, _ = _open(config, held_out, held_out.role, device)
    return evaluator.measure(network.to(device)).summary


def images_of(
    role: str, request: Request, digest: str, capacity: Capacity, objectives: Objectives | None = None
) -> HeldOutImages:
    """Return the settings that all tasks share which measure on the images of `role`.

    `digest` identifies the images; with `objectives` networks are also compared with sentinels, and by the
    second opinion.
    """
    gpus = request.gpus_per_rank if capacity.gpus else 0.0
    second = request.second_opinion if objectives else ""
    return HeldOutImages(role, digest, request.work_dir, request.metrics, gpus, objectives, second)


def evaluate(url: str, beside: Mapping[str, str], held_out: HeldOutImages) -> dict[str, Any]:
    """Measure a network, bicubic and the networks `beside` it on the same images, to pair the differences.

    The network's warm start is beside it under the name "warm"; without one bicubic takes its place.
    Returns summary and per_image (the others' under warm/, bicubic/ and so on), keys, protocol, the time
    spent and, with `held_out.objectives`, `sentinels`: name -> the interval of the network's difference in
    the perceptual metric, and the strength; `second_opinion`, the same in that metric against the networks
    `beside`; and `pictures` of gain_pictures.draw, or None.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    generator, config = load_generator(_fetch(url, held_out.work_dir))
    device = _device(config, held_out)
    evaluator, pairs = _open(config, held_out, held_out.role, device)
    bicubic = evaluator.measure_resizer("bicubic")
    images = {"": evaluator.upscale(generator.to(device))}
    networks = {name: load_generator(_fetch(of, held_out.work_dir))[0] for name, of in beside.items()}
    images |= {name: evaluator.upscale(network.to(device)) for name, network in networks.items()}
    strengths = {}
    if held_out.objectives is not None and "warm" in networks:
        strengths = _strengths(config, networks["warm"], held_out, device)
        images |= {name: edit(name, by, images["warm"]) for name, by in strengths.items()}
    found = {name: evaluator.measure_images(made) for name, made in images.items()}
    compared = {n: images[n] for n in ("", *networks)}
    by_second = _by_second_opinion(config, compared, held_out, device) if networks else {}
    found |= {name: _joined(found[name], other) for name, other in by_second.items()}
    own = found.pop("")
    per_image, summary = dict(own.per_image), dict(own.summary)
    for name, other in ({"warm": bicubic, "bicubic": bicubic} | found).items():
        summary |= {f"{name}/{m}": v for m, v in other.summary.items()}
        per_image |= {f"{name}/{m}": v for m, v in other.per_image.items()}
    sentinels = {}
    if held_out.objectives is not None and (named := [n for n in SENTINELS if n in found]):
        metric = held_out.objectives.perceptual
        if metric in own.per_image:
            mine = own.per_image[metric]
            intervals = {n: paired_bootstrap(mine, found[n].per_image[metric]) for n in named}
        else:
            differences = evaluator.differences(metric, images[""], {n: images[n] for n in named})
            intervals = {n: set_difference(d, len(own.keys)) for n, d in differences.items()}
        sentinels = {n: {"strength": strengths.get(n), **_plain(i, metric)} for n, i in intervals.items()}
    if held_out.objectives is not None and "warm" in found and GRID in own.per_image:
        sentinels["grid"] = _grid(own.per_image[GRID], found["warm"].per_image[GRID])
    second, opinions = held_out.second_opinion, {}
    if by_second:
        others = {name: found[name].per_image[second] for name in networks}
        intervals = {n: paired_bootstrap(own.per_image[second], other) for n, other in others.items()}
        opinions = {n: {"metric": second, **_plain(i, second)} for n, i in intervals.items()}
    pictures = None
    if held_out.objectives is not None and pairs[0].hr.ndim == 3:
        reference = gain_pictures.WARM if "warm" in networks else gain_pictures.BICUBIC
        chosen = gain_pictures.choose(per_image, own.keys, held_out.objectives, reference)
        shown = {"warm start": images["warm"]} if "warm" in networks else {}
        pictures = gain_pictures.draw(pairs, shown | {"ours": images[""]}, chosen, config.generator.scale)
    seconds = time.monotonic() - began
    return {
        "summary": summary,
        "per_image": per_image,
        "keys": own.keys,
        "protocol": own.protocol,
        "sentinels": sentinels,
        "second_opinion": opinions,
        "pictures": pictures,
        "gpu_hours": seconds / 3600 * held_out.gpus if device.type == "cuda" else 0.0,
        "cpu_hours": (time.process_time() - cpu_began) / 3600,
    }


def _by_second_opinion(
    config: TrainConfig, images: Mapping[str, list[np.ndarray]], held_out: HeldOutImages, device: torch.device
) -> dict[str, Evaluation]:
    """Evaluate each of these sets of `images` by the second opinion; {} if there is none on this node."""
    second = held_out.second_opinion
    if not second or METRICS[second].unavailable():
        return {}
    evaluator, _ = _open(config, replace(held_out, metrics=(second,)), held_out.role, device)
    return {name: evaluator.measure_images(made) for name, made in images.items()}


def _joined(one: Evaluation, other: Evaluation) -> Evaluation:
    """Return the values of two evaluations of the same images in different metrics."""
    per_image, summary = one.per_image | other.per_image, one.summary | other.summary
    return Evaluation(one.keys, per_image, summary, one.protocol | other.protocol)


def _device(config: TrainConfig, held_out: HeldOutImages) -> torch.device:
    """Return this task's device, on which it measures."""
    device = worker_device(config.run.device)
    limit_memory(device, held_out.gpus)
    if device.type == "cpu":
        use_threads(1)
    return device


def _open(
    config: TrainConfig, held_out: HeldOutImages, role: str, device: torch.device
) -> tuple[Evaluator, Sequence[Pair]]:
    """Return the evaluator of a role and its pairs."""
    data, scale = config.data, config.generator.scale
    images = open_role(data, role, held_out.work_dir, held_out.digest if role == held_out.role else "")
    limit = data.eval_images if role == "val" else 0
    return open_evaluator(images, data, scale, held_out.metrics, device, limit=limit)


def _strengths(
    config: TrainConfig, warm: nn.Module, held_out: HeldOutImages, device: torch.device
) -> dict[str, float]:
    """Return the strength of each edit of the warm start, chosen on val."""
    assert held_out.objectives is not None
    evaluator, _ = _open(config, held_out, "val", device)
    images = evaluator.upscale(warm)
    measured = evaluator.measure_images(images)
    return {n: strongest(n, images, measured, evaluator, held_out.objectives) for n in STRENGTHS}


def _grid(own: Sequence[float], warm: Sequence[float]) -> dict[str, Any]:
    """Return the difference in GRID against the warm start, beaten if it is within GRID_LIMIT."""
    interval = _plain(paired_bootstrap(own, warm), GRID)
    return interval | {"strength": None, "beaten": interval["interval"][0] <= GRID_LIMIT}


def _plain(interval: Interval, metric: str) -> dict[str, Any]:
    """Return an interval as plain JSON, and whether it is wholly on the better side of 0."""
    ends = [interval.estimate, interval.low, interval.high]
    beaten = interval.high < 0 if METRICS[metric].direction == "min" else interval.low > 0
    return {"interval": [end if math.isfinite(end) else None for end in ends], "beaten": beaten}


def _fetch(url: str, work_dir: Path) -> Path:
    root, _, name = url.rpartition("/")
    return Storage(root).fetch(name, work_dir / "scratch" / name)
