"""The check of a worker before the first trial: its device, its compiler, and the memory of the largest step.

It runs as a Ray task with a trial's resources, so that the driver opens no GPU: its CUDA context would take
half a gigabyte from the trials for the whole sweep, and lock them out of a GPU in exclusive mode.
"""

import socket
from dataclasses import dataclass

import torch

from datasets.errors import UserError
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.tasks import run_tasks
from orchestrator.cluster.worker import memory_advice, open_device
from orchestrator.sweep.plan import SweepPlan
from trainers import plugins
from trainers.benchmarks.cost import parameters
from trainers.config import TrainConfig, flatten, override
from trainers.cuda_graph import WARM_UP, accelerated
from trainers.device import describe_device, is_out_of_memory
from trainers.device_check import check_agreement
from trainers.models import build_generator
from trainers.preflight import check_plugins
from trainers.state import new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

STEPS = WARM_UP + 1  # the last one has the optimizers' moments and, if run.cuda_graph is set, the graph


@dataclass(frozen=True)
class WorkerCheck:
    """The hardware of a worker, and the memory that the largest training step took there."""

    hardware: str
    peak_bytes: int = 0
    total_bytes: int = 0

    def describe(self) -> str:
        """Return one line for the start of a sweep."""
        gib = 2**30
        peak = f": the largest step takes {self.peak_bytes / gib:.1f} of {self.total_bytes / gib:.1f} GiB"
        return f"checked on {self.hardware}{peak if self.total_bytes else ''}"


def check_worker(plan: SweepPlan, capacity: Capacity) -> WorkerCheck:
    """Run the largest training step of a plan on a worker if trials run on a GPU; return what it found.

    Raises:
        UserError: the user's own network, loss or metric does not work there, the worker's GPU cannot be
            used or is too small, or run.compile does not work there.
    """
    run, request = plan.request.config.run, plan.request
    if own := _with_plugins(plan):
        run_tasks(check_plugins, [(config,) for config in own])
    if not capacity.gpus and not run.device.startswith("mps"):
        return WorkerCheck(describe_device(torch.device("cpu")))
    gpus = request.gpus_per_rank if capacity.gpus else 0.0
    return run_tasks(try_largest_step, [(largest_config(plan), gpus)], gpus=gpus)[0]


def _with_plugins(plan: SweepPlan) -> list[TrainConfig]:
    """Return settings that together name every network, loss and metric of the user."""
    config, space = plan.request.config, plan.space
    own = [config] if plugins.code_of(flatten(config).values()) else []
    for name in plugins.SETTINGS:
        values = space.axes[name].examples() if name in space.axes else ()
        own += [override(config, {name: v}) for v in values if plugins.is_own(v)]
    return own


def largest_config(plan: SweepPlan) -> TrainConfig:
    """Return the settings of a plan with its largest generator and the largest batch of one rank."""
    config, axes, ranks = plan.request.config, plan.space.axes, plan.request.ranks
    designs = [override(config, architecture) for architecture in plan.architectures] or [config]
    largest = max(designs, key=lambda c: parameters(build_generator(c.generator)))
    batches = axes["data.batch_size"].examples() if "data.batch_size" in axes else [config.data.batch_size]
    return override(largest, {"data.batch_size": max(batches) // ranks})


def try_largest_step(config: TrainConfig, gpus: float) -> WorkerCheck:
    """Open this worker's device and train a few steps of the last phase on random images.

    Raises:
        UserError: as `check_worker` does.
    """
    device = open_device(config.run, gpus)
    try:
        if device.type == "mps":
            check_agreement(config, device)
        _train(config, device)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise UserError(memory_advice(config, device, gpus)) from None
        if not config.run.compile:
            raise
        raise UserError(
            f"run.compile does not work on {socket.gethostname()}: {_first_line(error)}; install gcc and "
            f"Python's headers there (apt-get install gcc python3-dev), or set run.compile False"
        ) from error
    if device.type != "cuda":
        return WorkerCheck(describe_device(device))
    total = torch.cuda.get_device_properties(device).total_memory
    return WorkerCheck(describe_device(device), torch.cuda.max_memory_allocated(), total)


def _train(config: TrainConfig, device: torch.device) -> None:
    phase = "gan" if config.run.gan_steps else "psnr"
    state, features = new_state(config, phase, device), None
    if phase == "gan":
        features = build_features(config, device)
    update = accelerated(step := TrainStep(config, state, features))
    count, side, bands = config.data.batch_size, config.data.crop_px, config.generator.image_channels
    sides = side, side // config.generator.scale
    for _ in range(STEPS):
        hr, lr_image = (torch.rand(count, bands, s, s, device=device) for s in sides)
        update(hr, lr_image, None)
        state.step += 1
    step.read()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
