"""Everything of one run that changes while it trains: networks, averages, optimizers, position."""

import copy
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trainers.config import OptimConfig, TrainConfig
from trainers.models import build_discriminator, build_generator

PHASES = ("psnr", "gan")
RUNG_WINDOW = 3  # a rung value is the median of this many evaluations


class Diverged(Exception):
    """A loss or gradient stopped being finite: which term, at which step. Weights are those before it."""

    def __init__(self, step: int, term: str) -> None:
        super().__init__(f"diverged at step {step}: {term} is not finite")
        self.step, self.term = step, term

    def __reduce__(self) -> tuple:
        return Diverged, (self.step, self.term)


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
class Progress:
    """What a phase has measured so far; travels with every checkpoint."""

    curve: list[dict[str, float]] = field(default_factory=list)
    """One row per evaluation: step and the metrics of the averaged weights on val."""
    candidates: list[int] = field(default_factory=list)
    """Steps whose weights lie on this run's own front."""
    seconds: float = 0.0
    wait_seconds: float = 0.0

    def latest(self) -> dict[str, float]:
        """Metrics of the last evaluation."""
        return {k: v for k, v in self.curve[-1].items() if k != "step"}

    def judged(self) -> dict[str, float]:
        """Median of the last evaluations, per metric: what rungs and tables show for this run."""
        return {m: statistics.median(row[m] for row in self.curve[-RUNG_WINDOW:]) for m in self.latest()}


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
        return TrainState(phase, 0, generator, ema, _adam(generator, config.optim, config.optim.lr_psnr))
    discriminator = _seeded(lambda: build_discriminator(config.discriminator), config.run.seed + 1)
    discriminator = _on(discriminator, device)
    return TrainState(
        phase,
        0,
        generator,
        ema,
        _adam(generator, config.optim, config.optim.lr_g),
        discriminator,
        _adam(discriminator, config.optim, config.optim.lr_d),
    )


def _seeded(build, seed: int) -> nn.Module:
    """Weights drawn from `seed` alone, without touching the caller's generator of random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _on(module: nn.Module, device: torch.device) -> nn.Module:
    # channels_last: 1.3x on CPUs and the layout that tensor cores read
    return module.to(device=device, memory_format=torch.channels_last).train()


def _adam(module: nn.Module, optim: OptimConfig, peak: float) -> torch.optim.Optimizer:
    # fused: takes the device flag that skips an update which is not finite
    betas = (optim.beta1, optim.beta2)
    return torch.optim.Adam(module.parameters(), lr=peak, betas=betas, fused=True)


@torch.no_grad()
def recalibrate(module: nn.Module, lr_images: Iterable[Tensor]) -> None:
    """Replace the running BN statistics of `module` by the mean over `lr_images`; ends in eval mode.

    Averaged weights never saw the statistics that live weights collected, so they need their own.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    if norms:
        momenta = [m.momentum for m in norms]
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # a plain mean over the batches
        module.train()
        for lr_image in lr_images:
            module(lr_image)
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
    module.eval()
