"""Hours and cost of a plan, and the pace of this hardware, from a few timed steps (step_costs)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from datasets.files import usable_cpus
from datasets.text import short_number
from orchestrator.cluster.capacity import Capacity, busy_cpus
from orchestrator.cluster.worker import open_device
from orchestrator.sweep import step_costs
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.step_costs import Costs, mean_costs
from orchestrator.sweep.wall_time import Pace
from orchestrator.sweep.worker_check import largest_config
from trainers.benchmarks.cost import step_flops
from trainers.device import describe_hardware
from trainers.memory import forecast_gib

TEST_MEASUREMENTS, TEST_OPINIONS, VAL_MEASUREMENTS = 6, 4, 9
"""Evaluations of the test stage: on test the network, its warm start, the longer PSNR phase, bicubic and two
edits, the first three by the second opinion too, which once reads the real images; on val the strengths of
the edits (trainers/sentinels)."""
STAGE_S = 3.0
"""Seconds that Tune takes for a stage beside the start of its workers."""
TIMED = ("", "a PSNR step", "a GAN step", "an evaluation", "a second opinion")
"""The fields of Costs in words; a phase that a sweep does not have takes 0 seconds."""


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
    timing = step_costs.time_costs(plan, capacity)
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
    hours["test"] = plan.tested_networks * test_seconds(plan, mean_costs(costs)) / 3600
    return hours


def test_seconds(plan: SweepPlan, costs: Costs) -> float:
    """Return the seconds of one network in the test stage from those of evaluations on val."""
    val, limit = len(plan.images["val"]), plan.request.config.data.eval_images
    ratio = len(plan.images["test"]) / max(1, min(val, limit or val))
    on_test = TEST_MEASUREMENTS * costs.evaluation + TEST_OPINIONS * costs.opinion
    return ratio * on_test + VAL_MEASUREMENTS * costs.evaluation


def _approximate(hours: float) -> str:
    """Return 2.5 h, or 12 min, or 40 s."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.0f} min" if hours * 60 >= 2 else f"{hours * 3600:.0f} s"


def measure_pace(plan: SweepPlan, capacity: Capacity) -> Pace:
    """Return the pace of an average architecture of a plan, timed on workers."""
    busy = busy_cpus() if capacity.local else 0.0
    timing, request = step_costs.time_costs(plan, capacity, one=True), plan.request
    costs, slots = mean_costs(timing.all), capacity.slots(request.gpus, request.ranks)
    start = STAGE_S + timing.start
    test = test_seconds(plan, costs)
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
        (costs,), _ = step_costs.measure_on_device([own], request.metrics, "", str(request.work_dir), 1, 0.0)
    return replace(
        pace,
        psnr_step=costs.psnr_step + costs.evaluation / run.psnr_eval_every_steps,
        gan_step=costs.gan_step + costs.evaluation / run.eval_every_steps,
        evaluation=costs.evaluation,
    )
