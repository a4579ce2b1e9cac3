"""Estimate the hours and cost of a plan on this machine from a few timed steps, before any training."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from datasets.errors import UserError
from datasets.files import usable_cpus
from datasets.loader import TrainLoader
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.worker import memory_advice, open_device
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.worker_check import largest_config
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig, override
from trainers.device import describe_hardware, is_out_of_memory
from trainers.memory import forecast_gib
from trainers.models import build_generator
from trainers.step_timing import time_step, timed


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
        stages = ", ".join(f"{stage} {_approximate(h / self.slots)}" for stage, h in self.hours.items())
        spent = f"{self.gpu_hours:.1f} GPU-hours" if self.on_gpu else "no GPU-hours"
        cost = f", cost {self.gpu_hours * price:.2f} at {price:g} an hour" if price and self.on_gpu else ""
        _, psnr, gan, evaluation = (
            f"{1000 * low:.3g} to {1000 * high:.3g} ms"
            for low, high in zip(vars(self.smallest).values(), vars(self.largest).values(), strict=True)
        )
        together = ""
        if self.ranks > 1:
            together = f"; one of its {self.ranks} ranks, without the time they wait for one another"
        elif self.on_gpu and (sharing := int(1 / self.gpus_per_trial + 1e-9)) > 1:
            together = f"; the {sharing} that share a GPU slow one another, in all up to {sharing} times"
        where = f"{describe_hardware()}; {self.slots} at once"
        return [
            f"time     about {_approximate(self.wall_hours)} on this machine ({where}): {stages}; "
            f"{spent}{cost}",
            f"timed    a PSNR step {psnr}, a GAN step {gan}, an evaluation {evaluation} (smallest to largest "
            f"architecture, one trial alone{together})",
        ] + (
            [f"memory   about {self.memory_gib:.1f} GiB of a GPU for the largest training step (forecast)"]
            if self.memory_gib
            else []
        )


def estimate(plan: SweepPlan) -> Estimate:
    """Time the smallest and the largest architecture of a plan, and return the hours of all its stages."""
    config, request = plan.request.config, plan.request
    device = open_device(config.run, request.gpus_per_rank)
    configs = [override(config, a) for a in plan.architectures]
    sizes = [parameters(build_generator(c.generator)) for c in configs]
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(config.run.threads or 1)  # as a trial has it
    try:
        smallest = largest = measure_costs(configs[sizes.index(min(sizes))], plan, device)
        if max(sizes) > min(sizes):
            largest = measure_costs(configs[sizes.index(max(sizes))], plan, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(memory_advice(config, device, request.gpus_per_rank)) from None
    finally:
        torch.set_num_threads(threads)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return Estimate(
        hours=stage_hours(plan, [smallest.interpolate(largest, size) for size in sizes]),
        slots=Capacity("", True, 1, usable_cpus(), gpus).slots(request.gpus, request.ranks),
        on_gpu=gpus > 0,
        gpus_per_trial=request.gpus,
        smallest=smallest,
        largest=largest,
        ranks=request.ranks,
        memory_gib=forecast_gib(largest_config(plan)),
    )


def stage_hours(plan: SweepPlan, costs: list[Costs]) -> dict[str, float]:
    """Return stage -> hours of its trials one after the other; any of the architectures is as likely."""
    run, hours = plan.request.config.run, {}
    for stage in plan.stages():
        which = [costs[i] for i in plan.missing] if stage.name == "warm" else costs
        seconds = 0.0
        for c in which:
            seconds += stage.psnr_steps * (c.psnr_step + c.evaluation / run.psnr_eval_every_steps)
            gan_step = c.gan_step + c.evaluation / run.eval_every_steps
            seconds += stage.gan_steps * stage.share * gan_step
        hours[stage.name] = stage.runs * seconds / max(1, len(which)) / 3600
    return hours


def measure_costs(config: TrainConfig, plan: SweepPlan, device: torch.device) -> Costs:
    """Time the training step of both phases, and one evaluation on val.

    Of several ranks one is timed, with its share of each batch.
    """
    images, scale, ranks = plan.images["train"], config.generator.scale, plan.request.ranks
    loader = TrainLoader(images, config.data, scale, device=device, world=ranks)
    batches = ((batch.hr, batch.lr_image) for batch in loader.batches(0))
    seconds = time_step(config, batches, device)
    evaluator, generator = plan.val_evaluator(device), build_generator(config.generator).to(device).eval()
    evaluator.measure(generator)  # the first evaluation computes what later ones share
    evaluation = timed(partial(evaluator.measure, generator), device, warm_up=0, at_least=1)
    return Costs(parameters(generator), seconds["psnr"], seconds["gan"], evaluation)


def _approximate(hours: float) -> str:
    """Return 2.5 h, or 12 min, or 40 s."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours * 60 >= 2 else f"{hours * 3600:.0f} s"
