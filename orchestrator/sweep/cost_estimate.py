"""Estimate the hours and cost of a plan from a few timed steps, here or on a cluster's worker."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from datasets.errors import UserError
from datasets.files import usable_cpus
from datasets.loader import TrainLoader
from datasets.text import short_number
from orchestrator.cluster.capacity import Capacity, busy_cpus
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import memory_advice, open_device
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.wall_time import Pace
from orchestrator.sweep.worker_check import largest_config
from orchestrator.trial.inputs import open_inputs
from trainers.benchmarks.cost import parameters, step_flops
from trainers.config import TrainConfig, override
from trainers.device import describe_hardware, is_out_of_memory
from trainers.evaluate import Evaluator
from trainers.memory import forecast_gib
from trainers.models import build_generator
from trainers.state import PHASES
from trainers.step_timing import time_step, timed

FEW = 4
"""Workers that time the steps of one sweep at once, at most."""
TEST_MEASUREMENTS, VAL_MEASUREMENTS = 6, 9
"""Evaluations of the test stage: on test the network, its warm start, the longer PSNR phase, bicubic and two
edits; on val the strengths of the edits (trainers/sentinels.py)."""

STAGE_S = 3.0
"""Seconds that Tune takes for a stage beside the start of its workers."""
TIMED = ("", "a PSNR step", "a GAN step", "an evaluation")
"""The fields of Costs in words; a phase that a sweep does not have takes 0 seconds."""


@dataclass(frozen=True)
class Costs:
    """Seconds of one architecture's steps, and of one evaluation on val."""

    parameters: int
    psnr_step: float
    gan_step: float
    evaluation: float

    def interpolate(self, other: "Costs", parameters: int) -> "Costs":
        """Return the costs of an architecture of so many parameters, linear between these and `other`."""
        span = other.parameters - self.parameters
        share = (parameters - self.parameters) / span if span else 0.0
        seconds = zip(vars(self).values(), vars(other).values(), strict=True)
        _, psnr, gan, evaluation = (a + share * (b - a) for a, b in seconds)
        return Costs(parameters, psnr, gan, evaluation)


@dataclass(frozen=True)
class Estimate:
    """Hours of each stage with one trial after the other, and the timed costs they come from."""

    hours: Mapping[str, float]
    slots: int
    on_gpu: bool
    gpus_per_trial: float
    smallest: Costs
    largest: Costs
    ranks: int = 1
    """Ranks that share each batch; one of them was timed."""
    memory_gib: float = 0.0
    """Forecast of the GPU memory of a process that trains the largest architecture; 0 if none was made."""
    place: str = ""
    """The cluster that was timed; empty: this machine."""

    @property
    def wall_hours(self) -> float:
        """Hours until the sweep ends if every slot is always busy."""
        return sum(self.hours.values()) / self.slots

    @property
    def gpu_hours(self) -> float:
        """Hours of whole GPUs; 0 if trials run on CPUs."""
        return sum(self.hours.values()) * self.gpus_per_trial if self.on_gpu else 0.0

    def describe(self, price: float) -> list[str]:
        """Return lines for --dry-run; `price` is that of a GPU-hour."""
        paid = self.gpus_per_trial * price if self.on_gpu else 0.0
        stages = ", ".join(
            f"{stage} {_approximate(h / self.slots)}" + (f" (cost {h * paid:.2f})" if paid else "")
            for stage, h in self.hours.items()
        )
        spent = f"; {self.gpu_hours:.1f} GPU-hours" if self.on_gpu else ""
        cost = f", cost {self.gpu_hours * price:.2f} at {price:g} an hour" if paid else ""
        costs = zip(TIMED, vars(self.smallest).values(), vars(self.largest).values(), strict=True)
        timed = ", ".join(f"{name} {_range_ms(low, high)}" for name, low, high in costs if name and high)
        several = self.smallest.parameters < self.largest.parameters
        which, together = "smallest to largest architecture, " if several else "", ""
        if self.ranks > 1:
            together = f"; one of its {self.ranks} ranks, without the time they wait for one another"
        elif self.on_gpu and (sharing := int(1 / self.gpus_per_trial + 1e-9)) > 1:
            together = f"; the {sharing} that share a GPU slow one another, in all up to {sharing} times"
        where = f"on {self.place or f'this machine ({describe_hardware()})'}, {self.slots} at once"
        lines = [
            f"time     about {_approximate(self.wall_hours)} {where}: {stages}{spent}{cost}",
            f"timed    {timed} ({which}one trial alone{together})",
        ]
        if self.memory_gib:
            gib = f"about {self.memory_gib:.1f} GiB of a GPU for the largest training step (forecast)"
            unused = "" if self.on_gpu else ", if one trained it: there is none here"
            lines.append(f"memory   {gib}{unused}")
        return lines


def _range_ms(low: float, high: float) -> str:
    """Return a range of seconds in milliseconds, as one number if its ends read alike."""
    return " to ".join(dict.fromkeys(short_number(1000 * v) for v in sorted((low, high)))) + " ms"


def estimate(plan: SweepPlan, capacity: Capacity | None = None) -> Estimate:
    """Time the smallest and the largest architecture of a plan, and return the hours of all its stages.

    With the `capacity` of a connected cluster they are timed on one of its workers, and the stages take what
    all of it can do at once; otherwise on this machine.
    """
    config, request = plan.request.config, plan.request
    timing = time_costs(plan, capacity)
    if capacity is None:
        device = open_device(config.run, request.gpus_per_rank)
        gpus = torch.cuda.device_count() if device.type == "cuda" else 0
        capacity = Capacity("", True, 1, usable_cpus(), gpus)
    return Estimate(
        hours=stage_hours(plan, timing.all),
        slots=capacity.slots(request.gpus, request.ranks),
        on_gpu=capacity.gpus > 0,
        gpus_per_trial=request.gpus,
        smallest=timing.smallest,
        largest=timing.largest,
        ranks=request.ranks,
        memory_gib=forecast_gib(largest_config(plan)),
        place="" if capacity.local else capacity.description,
    )


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
    arguments = extremes, request.metrics, str(request.work_dir), request.ranks, request.gpus_per_rank
    if capacity is None:
        timed_costs = [measure_on_device(*arguments)]
    else:
        together = min(FEW, capacity.slots(request.gpus, request.ranks))
        timed_costs = run_tasks(measure_on_device, [arguments] * together, gpus=gpus)
    start = max(0.0, time.monotonic() - began - max(seconds for _, seconds in timed_costs))
    smallest, largest = _mean([c[0] for c, _ in timed_costs]), _mean([c[-1] for c, _ in timed_costs])
    return Timing(smallest, largest, [smallest.interpolate(largest, size) for size in sizes], start)


def _mean(costs: list[Costs]) -> Costs:
    """Return the mean of costs."""
    number, *seconds = (sum(v) / len(costs) for v in zip(*(vars(c).values() for c in costs), strict=True))
    return Costs(round(number), *seconds)


def measure_on_device(
    configs: Sequence[TrainConfig], metrics: tuple[str, ...], work_dir: str, ranks: int, gpus: float
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
        inputs = open_inputs(data, scale, metrics, work_dir, (), device, (0, ranks))
        costs = [measure_costs(config, inputs.loader, inputs.evaluator, device) for config in configs]
        return costs, time.monotonic() - began
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(memory_advice(configs[0], device, gpus)) from None
    finally:
        torch.set_num_threads(threads)


def stage_hours(plan: SweepPlan, costs: list[Costs]) -> dict[str, float]:
    """Return stage -> hours of its trials one after the other; any of the architectures is as likely."""
    run, hours = plan.request.config.run, dict[str, float]()
    for stage in plan.stages():
        which = [costs[i] for i in plan.missing] if stage.name == "warm" else costs
        seconds = 0.0
        for c in which:
            seconds += stage.psnr_steps * (c.psnr_step + c.evaluation / run.psnr_eval_every_steps)
            gan_step = c.gan_step + c.evaluation / run.eval_every_steps
            seconds += stage.gan_steps * stage.share * gan_step
        name = stage.name.partition("-")[0]  # confirm-warm is a part of the confirmation
        hours[name] = hours.get(name, 0.0) + stage.runs * seconds / max(1, len(which)) / 3600
    mean_evaluation = sum(c.evaluation for c in costs) / len(costs)
    hours["test"] = plan.tested_networks * test_seconds(plan, mean_evaluation) / 3600
    return hours


def test_seconds(plan: SweepPlan, evaluation: float) -> float:
    """Return the seconds of one network in the test stage from those of an evaluation on val.

    Its own images and those of five networks and edits are measured on test, and VAL_MEASUREMENTS on val.
    """
    val, limit = len(plan.images["val"]), plan.request.config.data.eval_images
    ratio = len(plan.images["test"]) / max(1, min(val, limit or val))
    return evaluation * (TEST_MEASUREMENTS * ratio + VAL_MEASUREMENTS)


def measure_costs(
    config: TrainConfig, loader: TrainLoader, evaluator: Evaluator, device: torch.device
) -> Costs:
    """Time the training step of both phases, and one evaluation on val.

    Of several ranks one is timed, with its share of each batch.
    """
    batches = ((batch.hr, batch.lr_image) for batch in loader.batches(0))
    phases = [phase for phase in PHASES if config.run.steps(phase)]
    seconds = dict.fromkeys(PHASES, 0.0) | time_step(config, batches, device, phases)
    generator = build_generator(config.generator).to(device).eval()
    evaluator.measure(generator)  # the first evaluation computes what later ones share
    evaluation = timed(partial(evaluator.measure, generator), device, warm_up=0, at_least=1)
    return Costs(parameters(generator), seconds["psnr"], seconds["gan"], evaluation)


def _approximate(hours: float) -> str:
    """Return 2.5 h, or 12 min, or 40 s."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours * 60 >= 2 else f"{hours * 3600:.0f} s"


def measure_pace(plan: SweepPlan, capacity: Capacity) -> Pace:
    """Return the pace of an average architecture of a plan, timed on workers."""
    busy = busy_cpus() if capacity.local else 0.0
    timing, request = time_costs(plan, capacity, one=True), plan.request
    costs, slots = _mean(timing.all), capacity.slots(request.gpus, request.ranks)
    start = STAGE_S + timing.start
    test = test_seconds(plan, costs.evaluation)
    longer = step_flops(request.config, "gan") / step_flops(request.config, "psnr")
    return Pace(costs.psnr_step, costs.gan_step, costs.evaluation, start, test, start, slots, busy, longer)


def pace_alone(plan: SweepPlan, capacity: Capacity, pace: Pace) -> Pace:
    """Return the pace of the recipe's own network if it alone is trained here.

    A trial on a CPU has one core; `upsweep train` has all of this machine, and is timed with them. Elsewhere
    one training is assumed to be as fast as a trial. Evaluations are as frequent as in the recipe.
    """
    request, run = plan.request, plan.request.config.run
    costs = Costs(0, pace.psnr_step, pace.gan_step, pace.evaluation)
    threads = run.threads or torch.get_num_threads()
    if capacity.local and not capacity.gpus and threads > 1:
        own = replace(request.config, run=replace(run, threads=threads))
        (costs,), _ = measure_on_device([own], request.metrics, str(request.work_dir), 1, 0.0)
    return replace(
        pace,
        psnr_step=costs.psnr_step + costs.evaluation / run.psnr_eval_every_steps,
        gan_step=costs.gan_step + costs.evaluation / run.eval_every_steps,
        evaluation=costs.evaluation,
    )
