"""What a plan will cost on the hardware at hand: seconds of the real step, timed before anything is spent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from datasets.files import usable_cpus
from datasets.loader import TrainLoader, eval_pairs
from orchestrator.sweep.plan import SweepPlan
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig, override
from trainers.device import describe_hardware, pick_device
from trainers.evaluate import Evaluator
from trainers.models import build_generator
from trainers.state import new_state
from trainers.train_step import TrainStep, build_features

WARM_UP = 2  # steps: the first allocate, and choose algorithms
AT_LEAST, SECONDS = 3, 1.0  # steps of a piece, and how long one lasts


@dataclass(frozen=True)
class Costs:
    """Seconds of one architecture's steps, and of one measurement on val."""

    parameters: int
    psnr_step: float
    gan_step: float
    evaluation: float

    def between(self, other: "Costs", parameters: int) -> "Costs":
        """An architecture of `parameters`, on the line between this one and `other`."""
        span = other.parameters - self.parameters
        share = (parameters - self.parameters) / span if span else 0.0
        seconds = zip(vars(self).values(), vars(other).values(), strict=True)
        _, psnr, gan, evaluation = (a + share * (b - a) for a, b in seconds)
        return Costs(parameters, psnr, gan, evaluation)


@dataclass(frozen=True)
class Estimate:
    """Hours of one trial after the other by stage, and what was timed to say so."""

    hours: Mapping[str, float]
    slots: int
    on_gpu: bool
    gpus_per_trial: float
    smallest: Costs
    largest: Costs
    ranks: int = 1
    """That share each batch; one of them was timed."""

    @property
    def wall_hours(self) -> float:
        """With every slot busy to the end."""
        return sum(self.hours.values()) / self.slots

    @property
    def gpu_hours(self) -> float:
        """Of whole GPUs; none where trials run on CPUs."""
        return sum(self.hours.values()) * self.gpus_per_trial if self.on_gpu else 0.0

    def describe(self, price: float) -> list[str]:
        """In words, for --dry-run."""
        stages = ", ".join(f"{stage} {_time(h / self.slots)}" for stage, h in self.hours.items())
        spent = f"{self.gpu_hours:.1f} GPU-hours" if self.on_gpu else "no GPU-hours"
        cost = f", cost {self.gpu_hours * price:.2f} at {price:g} an hour" if price and self.on_gpu else ""
        timed = (
            f"{1000 * low:.3g} to {1000 * high:.3g} ms"
            for low, high in zip(vars(self.smallest).values(), vars(self.largest).values(), strict=True)
        )
        _, psnr, gan, evaluation = timed
        where = f"{describe_hardware()}; {self.slots} at once"
        return [
            f"time     about {_time(self.wall_hours)} on this machine ({where}): {stages}; {spent}{cost}",
            f"timed    a PSNR step {psnr}, a GAN step {gan}, a measurement {evaluation} (smallest to largest "
            f"architecture, one trial alone{self._one_of_several()})",
        ]

    def _one_of_several(self) -> str:
        return f"; one of its {self.ranks} ranks, without the time they wait for one another" * (
            self.ranks > 1
        )


def estimate(prepared: SweepPlan) -> Estimate:
    """Time the smallest and the largest architecture and carry that over the plan."""
    config = prepared.request.config
    device = pick_device(config.run.device)
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(config.run.threads or 1)  # as a trial has it
    try:
        configs = [override(config, a) for a in prepared.architectures]
        sizes = [parameters(build_generator(c.generator)) for c in configs]
        ends = [configs[sizes.index(f(sizes))] for f in (min, max)]
        smallest = measure(ends[0], prepared, device)
        largest = measure(ends[1], prepared, device) if len(set(sizes)) > 1 else smallest
    finally:
        torch.set_num_threads(before)
    costs = [smallest.between(largest, size) for size in sizes]
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    request = prepared.request
    slots = max(1, int(gpus / request.gpus) if gpus else usable_cpus() // request.ranks)
    shown = smallest, largest
    return Estimate(_hours(prepared, costs), slots, gpus > 0, request.gpus, *shown, request.ranks)


def _hours(prepared: SweepPlan, costs: list[Costs]) -> dict[str, float]:
    """Stage -> hours of one trial after the other. A trial's architecture is any of the space's."""
    run, hours = prepared.request.config.run, {}
    for plan in prepared.stages():
        which = [costs[i] for i in prepared.missing] if plan.name == "warm" else costs
        seconds = 0.0
        for c in which:
            seconds += plan.psnr_steps * (c.psnr_step + c.evaluation / run.psnr_eval_every_steps)
            gan_step = c.gan_step + c.evaluation / run.eval_every_steps
            seconds += plan.gan_steps * plan.share * gan_step
        hours[plan.name] = plan.runs * seconds / max(1, len(which)) / 3600
    return hours


def measure(config: TrainConfig, prepared: SweepPlan, device: torch.device) -> Costs:
    """Time the real step of both phases, and one measurement."""
    scale, data = config.generator.scale, config.data
    ranks = prepared.request.ranks  # one of them is timed, with its share of each batch
    batches = TrainLoader(prepared.images["train"], data, scale, device=device, world=ranks).batches(0)
    pairs = eval_pairs(prepared.images["val"], data, scale, limit=data.eval_images)
    evaluator = Evaluator(pairs, prepared.request.metrics, scale=scale, device=device)
    seconds: dict[str, float] = {}
    for phase in ("psnr", "gan"):
        state = new_state(config, phase, device)
        step = TrainStep(config, state, build_features(config, device) if phase == "gan" else None)

        def once(step: TrainStep = step) -> None:
            batch = next(batches)
            step(batch.hr, batch.lr_image)

        seconds[phase] = _timed(once, device)
    evaluator.measure(state.ema)  # the first computes what later ones share
    seconds["evaluation"] = _timed(lambda: evaluator.measure(state.ema), device, warm_up=0, at_least=1)
    return Costs(parameters(state.ema), seconds["psnr"], seconds["gan"], seconds["evaluation"])


def _timed(
    once: Callable[[], Any], device: torch.device, warm_up: int = WARM_UP, at_least: int = AT_LEAST
) -> float:
    for _ in range(warm_up):
        once()
    _wait(device)
    began, count = time.perf_counter(), 0
    while count < at_least or time.perf_counter() - began < SECONDS:
        once()
        count += 1
        _wait(device)
    return (time.perf_counter() - began) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(hours: float) -> str:
    """2.5 h, or 12 min, or 40 s."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours * 60 >= 2 else f"{hours * 3600:.0f} s"
