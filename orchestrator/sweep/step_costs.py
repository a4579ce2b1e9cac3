"""Time the steps of a plan's architectures, here or on a cluster's workers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from datasets.errors import UserError
from datasets.loader import TrainLoader
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import memory_advice, open_device
from orchestrator.sweep.plan import SweepPlan
from orchestrator.trial.inputs import open_inputs
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig, override
from trainers.device import is_out_of_memory
from trainers.evaluate import Evaluator
from trainers.metrics import METRICS
from trainers.models import build_generator
from trainers.state import PHASES
from trainers.step_timing import time_step, timed

FEW = 4
"""Workers that time the steps of one sweep at once, at most."""


@dataclass(frozen=True)
class Costs:
    """Seconds of one architecture's steps, and of one evaluation on val."""

    parameters: int
    psnr_step: float
    gan_step: float
    evaluation: float
    opinion: float = 0.0
    """Seconds of an evaluation by the metric of the second opinion."""

    def interpolate(self, other: "Costs", parameters: int) -> "Costs":
        """Return the costs of an architecture of so many parameters, linear between these and `other`."""
        span = other.parameters - self.parameters
        share = (parameters - self.parameters) / span if span else 0.0
        seconds = zip(vars(self).values(), vars(other).values(), strict=True)
        _, *interpolated = (a + share * (b - a) for a, b in seconds)
        return Costs(parameters, *interpolated)


@dataclass(frozen=True)
class Timing:
    """Costs of a plan's architectures, and the seconds until a worker began to time them."""

    smallest: Costs
    largest: Costs
    all: list[Costs]
    start: float


def time_costs(plan: SweepPlan, capacity: Capacity | None = None, *, one: bool = False) -> Timing:
    """Time the smallest and the largest architecture of a plan; the others are between them by their size.

    With `capacity` they are timed by as many workers at once as trials run (FEW at most), here otherwise.
    With `one` only the architecture of middle size is timed, which takes half as long.
    """
    configs = [override(plan.request.config, a) for a in plan.architectures]
    sizes = [parameters(build_generator(c.generator)) for c in configs]
    in_order = sorted(range(len(sizes)), key=sizes.__getitem__)
    timed_sizes = [in_order[len(sizes) // 2]] if one else [in_order[0], in_order[-1]]
    extremes = [configs[i] for i in dict.fromkeys(timed_sizes)]
    request, began = plan.request, time.monotonic()
    gpus = request.gpus_per_rank if capacity is not None and capacity.gpus else 0.0
    metrics = request.metrics, request.second_opinion
    arguments = extremes, *metrics, str(request.work_dir), request.ranks, request.gpus_per_rank
    if capacity is None:
        timed_costs = [measure_on_device(*arguments)]
    else:
        together = min(FEW, capacity.slots(request.gpus, request.ranks))
        timed_costs = run_tasks(measure_on_device, [arguments] * together, gpus=gpus)
    start = max(0.0, time.monotonic() - began - max(seconds for _, seconds in timed_costs))
    smallest, largest = (mean_costs([costs[k] for costs, _ in timed_costs]) for k in (0, -1))
    return Timing(smallest, largest, [smallest.interpolate(largest, size) for size in sizes], start)


def mean_costs(costs: list[Costs]) -> Costs:
    """Return the mean of costs."""
    number, *seconds = (sum(v) / len(costs) for v in zip(*(vars(c).values() for c in costs), strict=True))
    return Costs(round(number), *seconds)


def measure_on_device(
    configs: Sequence[TrainConfig],
    metrics: tuple[str, ...],
    second_opinion: str,
    work_dir: str,
    ranks: int,
    gpus: float,
) -> tuple[list[Costs], float]:
    """Return the costs of each of `configs` on this process's device, and the seconds that this took.

    Raises:
        UserError: the device cannot be used or is too small.
    """
    run, threads, began = configs[0].run, torch.get_num_threads(), time.monotonic()
    device = open_device(run, gpus)
    if device.type == "cpu":
        torch.set_num_threads(run.threads or 1)  # as a trial has it
    try:
        data, scale = configs[0].data, configs[0].generator.scale
        common = work_dir, (), device, (0, ranks)
        inputs, second = open_inputs(data, scale, metrics, *common), None
        if second_opinion and not METRICS[second_opinion].unavailable():
            second = open_inputs(data, scale, (second_opinion,), *common).evaluator
        costs = [measure_costs(c, inputs.loader, inputs.evaluator, device, second) for c in configs]
        return costs, time.monotonic() - began
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(memory_advice(configs[0], device, gpus)) from None
    finally:
        torch.set_num_threads(threads)


def measure_costs(
    config: TrainConfig,
    loader: TrainLoader,
    evaluator: Evaluator,
    device: torch.device,
    second_opinion: Evaluator | None = None,
) -> Costs:
    """Time the training step of both phases, and one evaluation on val, by the second opinion too.

    Of several ranks one is timed, with its share of each batch.
    """
    batches = ((batch.hr, batch.lr_image) for batch in loader.batches(0))
    phases = [phase for phase in PHASES if config.run.steps(phase)]
    seconds = dict.fromkeys(PHASES, 0.0) | time_step(config, batches, device, phases)
    generator = build_generator(config.generator).to(device).eval()
    evaluations = []
    for by in (evaluator, second_opinion) if second_opinion else (evaluator,):
        by.measure(generator)  # the first evaluation computes what later ones share
        evaluations.append(timed(partial(by.measure, generator), device, warm_up=0, at_least=1))
    return Costs(parameters(generator), seconds["psnr"], seconds["gan"], *evaluations)
