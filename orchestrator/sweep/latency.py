"""Latency and memory of each architecture of a sweep, and the designs that are too slow to be trained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import open_device
from orchestrator.results.labels import label
from orchestrator.results.sweep_folder import read_facts
from orchestrator.sweep.plan import SweepPlan
from trainers.benchmarks.cost import InferenceCost, inference_cost
from trainers.config import TrainConfig, override
from trainers.models import build_generator

Measured = list[tuple[dict[str, Any], InferenceCost]]
"""Each architecture with its cost."""


def measure_architectures(plan: SweepPlan, capacity: Capacity | None = None) -> Measured:
    """Return the cost of each architecture of a plan, on a GPU of a worker if `capacity` has any, else here.

    If objective.max_ms decides, all of the space are measured, else those that will be trained.
    """
    request = plan.request
    designs = plan.space.architectures() if request.config.objective.max_ms else plan.architectures
    arguments = [override(request.config, design) for design in designs]
    if capacity is not None and capacity.gpus:
        (costs,) = run_tasks(measure, [(arguments, request.gpus_per_rank)], gpus=request.gpus_per_rank)
    else:
        costs = measure(arguments, 0.0)
    return list(zip(designs, costs, strict=True))


def measure(configs: Sequence[TrainConfig], gpus: float) -> list[InferenceCost]:
    """Return the cost of the generator of each of `configs` on this process's device, one after the other."""
    run, threads = configs[0].run, torch.get_num_threads()
    device = open_device(run, gpus)
    torch.set_num_threads(run.threads or 1)  # as a trial on a CPU
    try:
        with torch.random.fork_rng(devices=[]):
            return [_cost(config, device) for config in configs]
    finally:
        torch.set_num_threads(threads)


def _cost(config: TrainConfig, device: torch.device) -> InferenceCost:
    network = build_generator(config.generator).eval().to(device)
    return inference_cost(network, config.generator.scale, config.objective.ms_px)


def leave_out_slow(plan: SweepPlan, resume: bool) -> list[str]:
    """Exclude the architectures that take more than objective.max_ms; return lines that say so.

    Raises:
        UserError: all of them take more.
    """
    max_ms, space = plan.request.config.objective.max_ms, plan.space
    if not max_ms or not plan.costs:
        return []
    slow = [(design, cost) for design, cost in plan.costs if cost.ms > max_ms]
    if len(slow) == len(plan.costs):
        fastest, cost = min(slow, key=lambda pair: pair[1].ms)
        raise UserError(
            f"no design of space {space.name} keeps to objective.max_ms {max_ms:g}: the fastest, "
            f"{label(fastest)}, takes {cost.describe()}; raise --objective.max-ms, or add smaller networks"
        )
    plan.space = replace(space, excluded=tuple(design for design, _ in slow))
    plan.find_architectures(resume)
    return [
        f"latency  more than {max_ms:g} ms: {len(slow)} of {len(plan.costs)} architectures"
        + (", left out:" if slow else ""),
        *(f"         {label(design)}: {cost.describe()}" for design, cost in slow),
    ]


def kept_costs(plan: SweepPlan) -> Measured:
    """Return the costs that a resumed sweep began with, so that it leaves out what it left out before."""
    return from_plain(read_facts(plan.storage, plan.request.name).get("inference", []))


def as_plain(costs: Measured) -> list[dict[str, Any]]:
    """Return costs as plain data for sweep.json."""
    return [{"design": design, **asdict(cost)} for design, cost in costs]


def from_plain(rows: Sequence[Mapping[str, Any]]) -> Measured:
    """Return the inverse of `as_plain`."""
    return [(row["design"], InferenceCost(**{k: v for k, v in row.items() if k != "design"})) for row in rows]
