"""All that changes while a run trains: networks, averaged weights, optimizers, position and history."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import TrainConfig
from trainers.models import build_discriminator, build_generator
from trainers.optimizers import build_optimizer

PHASES = ("psnr", "gan")
RUNG_WINDOW = 3  # a rung value is the median of this many evaluations


class Diverged(Exception):
    """A loss, gradient or output is not finite; carries the step and the term (see divergence.py)."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"diverged at step {step}: {term} is not finite")
        self.step, self.term = step, term

    def __reduce__(self) -> tuple:
        return Diverged, (self.step, self.term)


class Stopped(Exception):
    """A run was stopped on request; a checkpoint is saved, and calling the run again resumes from it."""

    def __init__(self, phase: str, step: int) -> None:
        super().__init__(f"stopped at step {step} of the {phase} phase")
        self.phase, self.step = phase, step

    def __reduce__(self) -> tuple:
        return Stopped, (self.phase, self.step)


@dataclass
class TrainState:
    """Networks and optimizers of the current phase, and the number of its completed updates."""

    phase: str
    step: int
    generator: nn.Module
    ema: nn.Module
    opt_g: torch.optim.Optimizer
    discriminator: nn.Module | None = None
    opt_d: torch.optim.Optimizer | None = None


@dataclass
class History:
    """The evaluations of a phase so far, stored in every checkpoint."""

    curve: list[dict[str, float]] = field(default_factory=list)
    """One row per evaluation: step and the metrics of the averaged weights on val."""
    candidates: list[int] = field(default_factory=list)
    """Steps whose weights are on this run's Pareto front."""
    seconds: float = 0.0
    """Time spent on steps; evaluation and saving excluded."""
    wait_seconds: float = 0.0
    """Part of `seconds` spent waiting for batches."""

    def latest(self) -> dict[str, float]:
        """Return the metrics of the last evaluation."""
        return {k: v for k, v in self.curve[-1].items() if k != "step"}

    def smoothed(self) -> dict[str, float]:
        """Return the median of the last evaluations, per metric: one evaluation is noisy."""
        return self._smoothed_at(len(self.curve))

    def best_smoothed(self, order: Callable[[dict[str, float]], Any]) -> dict[str, float]:
        """Return the best `smoothed` metrics so far, smallest by `order`; a run is ranked by them.

        GAN training swings, and every evaluated checkpoint can be shipped.
        """
        return min((self._smoothed_at(n) for n in range(1, len(self.curve) + 1)), key=order)

    def _smoothed_at(self, count: int) -> dict[str, float]:
        """Return the medians after the first `count` evaluations."""
        window = self.curve[max(0, count - RUNG_WINDOW) : count]
        return {m: statistics.median(row[m] for row in window) for m in self.latest()}


def new_state(
    config: TrainConfig, phase: str, device: torch.device, weights: dict[str, Tensor] | None = None
) -> TrainState:
    """Return a run at step 0 of `phase`, with generator `weights` if given, else weights from run.seed."""
    generator = _seeded(lambda: build_generator(config.generator), config.run.seed)
    if weights is not None:
        generator.load_state_dict(weights)
    generator = _on(generator, device)
    ema = copy.deepcopy(generator).requires_grad_(False).eval()
    optim, gan = config.optim, phase == "gan"
    opt_g = build_optimizer(generator, optim, optim.lr_g if gan else optim.lr_psnr)
    if not gan:
        return TrainState(phase, 0, generator, ema, opt_g)
    discriminator = _on(
        _seeded(lambda: build_discriminator(config.discriminator), config.run.seed + 1), device
    )
    opt_d = build_optimizer(discriminator, optim, optim.lr_d)
    return TrainState(phase, 0, generator, ema, opt_g, discriminator, opt_d)


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a module with weights from `seed` alone; the process's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _on(module: nn.Module, device: torch.device) -> nn.Module:
    # channels_last: 1.3x on CPUs and the layout that tensor cores read
    return module.to(device=device, memory_format=torch.channels_last).train()
