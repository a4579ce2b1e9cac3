"""Everything of one run that changes while it trains: networks, averages, optimizers, position."""

import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import OptimConfig, TrainConfig
from trainers.models import build_discriminator, build_generator

PHASES = ("psnr", "gan")
RUNG_WINDOW = 3  # a rung value is the median of this many evaluations


class Diverged(Exception):
    """A loss, gradient or output stopped being finite: which term, at which step (see steps.Step)."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"diverged at step {step}: {term} is not finite")
        self.step, self.term = step, term

    def __reduce__(self) -> tuple:
        return Diverged, (self.step, self.term)


class Stopped(Exception):
    """A run was asked to end; everything up to here is saved, and it goes on from there when called again."""

    def __init__(self, phase: str, step: int) -> None:
        super().__init__(f"stopped at step {step} of the {phase} phase")
        self.phase, self.step = phase, step

    def __reduce__(self) -> tuple:
        return Stopped, (self.phase, self.step)


@dataclass
class TrainState:
    """Networks and optimizers of the current phase, and how many of its updates are done."""

    phase: str
    step: int
    generator: nn.Module
    ema: nn.Module
    opt_g: torch.optim.Optimizer
    discriminator: nn.Module | None = None
    opt_d: torch.optim.Optimizer | None = None


@dataclass
class History:
    """What a phase has measured so far; travels with every checkpoint."""

    curve: list[dict[str, float]] = field(default_factory=list)
    """One row per evaluation: step and the metrics of the averaged weights on val."""
    candidates: list[int] = field(default_factory=list)
    """Steps whose weights lie on this run's own front."""
    seconds: float = 0.0
    wait_seconds: float = 0.0

    def latest(self) -> dict[str, float]:
        """Return the metrics of the last evaluation."""
        return {k: v for k, v in self.curve[-1].items() if k != "step"}

    def smoothed(self) -> dict[str, float]:
        """Return the median of the last evaluations, per metric: one evaluation is noisy."""
        return self._smoothed_at(len(self.curve))

    def best_smoothed(self, order: Callable[[dict[str, float]], Any]) -> dict[str, float]:
        """Return the best `smoothed` value so far, smallest in `order`: what rungs and tables show for a run.

        GAN training swings, and every evaluated checkpoint can be shipped. On recorded curves the newest
        values say little of a run's end (rank correlation 0.2 at half of it), the best so far much (0.85).
        """
        return min((self._smoothed_at(n) for n in range(1, len(self.curve) + 1)), key=order)

    def _smoothed_at(self, count: int) -> dict[str, float]:
        """Return the medians after the first `count` evaluations."""
        window = self.curve[max(0, count - RUNG_WINDOW) : count]
        return {m: statistics.median(row[m] for row in window) for m in self.latest()}


def new_state(
    config: TrainConfig, phase: str, device: torch.device, weights: dict[str, Tensor] | None = None
) -> TrainState:
    """A run at step 0 of `phase`; `weights` are the generator's to start from, else seeded by run.seed."""
    generator = _seeded(lambda: build_generator(config.generator), config.run.seed)
    if weights is not None:
        generator.load_state_dict(weights)
    generator = _on(generator, device)
    ema = copy.deepcopy(generator).requires_grad_(False).eval()
    if phase == "psnr":
        return TrainState(
            phase, 0, generator, ema, build_optimizer(generator, config.optim, config.optim.lr_psnr)
        )
    discriminator = _seeded(lambda: build_discriminator(config.discriminator), config.run.seed + 1)
    discriminator = _on(discriminator, device)
    return TrainState(
        phase,
        0,
        generator,
        ema,
        build_optimizer(generator, config.optim, config.optim.lr_g),
        discriminator,
        build_optimizer(discriminator, config.optim, config.optim.lr_d),
    )


def _seeded(build, seed: int) -> nn.Module:
    """Weights drawn from `seed` alone, without touching the caller's generator of random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _on(module: nn.Module, device: torch.device) -> nn.Module:
    # channels_last: 1.3x on CPUs and the layout that tensor cores read
    return module.to(device=device, memory_format=torch.channels_last).train()


def build_optimizer(module: nn.Module, optim: OptimConfig, peak: float) -> torch.optim.Optimizer:
    """Adam or SGD over `module`, at the rate `peak` times each group's own factor.

    Fused, because that form takes the device flag that skips an update which is not finite.
    """
    groups = _groups(module, optim.lr_tail_factor)
    made: torch.optim.Optimizer
    if optim.kind == "sgd":
        made = torch.optim.SGD(groups, lr=peak, momentum=optim.momentum, fused=True)
    else:
        made = torch.optim.Adam(groups, lr=peak, betas=(optim.beta1, optim.beta2), fused=True)
    set_rate(made, peak)
    return made


def _groups(module: nn.Module, tail_factor: float) -> list[dict]:
    """All parameters in one group, or those of the last convolution of a generator in one of their own."""
    if tail_factor == 1.0 or not isinstance(tail := getattr(module, "tail", None), nn.Module):
        return [{"params": list(module.parameters()), "factor": 1.0}]
    apart = list(tail.parameters())
    body = [p for p in module.parameters() if all(p is not q for q in apart)]
    return [{"params": body, "factor": 1.0}, {"params": apart, "factor": tail_factor}]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its learning rate: `rate` times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
