"""How long a sweep of given sizes takes: pure functions of the measured pace of this hardware."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.sweep.request import Request

PSNR_EVALUATIONS, GAN_EVALUATIONS = 3, 8
"""Evaluations on val in a phase, unless the recipe has them further apart."""


@dataclass(frozen=True)
class Sizes:
    """The numbers that decide how long a sweep takes, named as in Request and RunConfig."""

    psnr_steps: int
    gan_steps: int
    trials: int
    repeat_top: int
    confirm_top: int
    confirm_seeds: int

    @classmethod
    def of(cls, request: Request) -> "Sizes":
        """Return the sizes of a sweep as asked for."""
        run, r = request.config.run, request
        return cls(run.psnr_steps, run.gan_steps, r.trials, r.repeat_top, r.confirm_top, r.confirm_seeds)


@dataclass(frozen=True)
class Pace:
    """Measured seconds of this hardware, and how many trials it runs at once."""

    psnr_step: float
    """Seconds of a PSNR step of an average architecture."""
    gan_step: float
    """Seconds of a GAN step of it."""
    evaluation: float
    """Seconds of an evaluation of it on val."""
    start: float
    """From the begin of a stage to the first step of its trials, and from their last step to its end."""
    test: float
    """Seconds of the test of one network with its sentinels."""
    ending: float
    """From the last measurement to the exit: result, report, records. Assumed equal to `start`."""
    slots: int
    busy: float = 0.0
    """CPU cores of this machine that other programs used."""
    longer: float = 1.0
    """PSNR steps that cost as much as a GAN step, in floating-point operations."""

    def psnr_phase(self, steps: int) -> float:
        """Return the seconds of a PSNR phase; 0 if it has no steps."""
        return steps * self.psnr_step + PSNR_EVALUATIONS * self.evaluation if steps else 0.0

    def gan_phase(self, steps: int) -> float:
        """Return the seconds of a GAN phase; its warm start is evaluated, too."""
        return steps * self.gan_step + (GAN_EVALUATIONS + 1) * self.evaluation

    def scaled(self, psnr: float, gan: float) -> "Pace":
        """Return the pace with the steps of both phases, and all evaluations, as many times as slow."""
        return replace(
            self,
            psnr_step=self.psnr_step * psnr,
            gan_step=self.gan_step * gan,
            evaluation=self.evaluation * gan,
            test=self.test * gan,
        )


@dataclass(frozen=True)
class Work:
    """Architectures of the space, and how many of them have no warm start yet."""

    architectures: int
    missing: int
    derived: int = 0
    """Missing architectures that train only `share` of the PSNR phase."""
    share: float = 1.0
    """Part of the PSNR phase that a derived architecture trains, in (0, 1]."""


def stage_seconds(sizes: Sizes, pace: Pace, work: Work) -> dict[str, float]:
    """Return stage -> wall seconds on all slots, the start of its workers included."""
    s, gan, psnr = sizes, pace.gan_phase(sizes.gan_steps), pace.psnr_phase(sizes.psnr_steps)
    networks = _psnr_networks(s, work)
    warm = min(work.missing, s.trials)
    derived = max(0, min(work.derived, warm - 1))
    # beside its own, each confirmed architecture has a phase that is longer by the cost of the GAN phase
    longer = [pace.psnr_phase(s.psnr_steps + round(s.gan_steps * pace.longer))] * networks
    return {
        "warm": _wall(pace, psnr, warm - derived)
        + _wall(pace, pace.psnr_phase(int(s.psnr_steps * work.share)), derived),
        "screen": _wall(pace, gan, s.trials),
        "repeat": _wall(pace, gan, s.repeat_top) + _wall(pace, gan, repeat_runs(s.repeat_top) - s.repeat_top),
        "confirm": seeds_seconds(s, s.confirm_seeds, pace, work, longer),
        "test": _wall(pace, pace.test, s.confirm_top * s.confirm_seeds + networks) + pace.ending,
    }


def seconds_of(sizes: Sizes, pace: Pace, work: Work, first: str = "warm", end: str = "") -> float:
    """Return the wall seconds of the stages from `first` on, before `end`."""
    stages = stage_seconds(sizes, pace, work)
    names = list(stages)
    return sum(stages[name] for name in names[names.index(first) : names.index(end) if end else None])


def repeat_runs(top: int) -> int:
    """Return the runs of the repeats: the `top` best designs once, the best half of them twice more."""
    return top + 2 * -(-top // 2)


def _psnr_networks(sizes: Sizes, work: Work) -> int:
    """Return the architectures that are confirmed at most, each with PSNR phases of its own."""
    return min(sizes.confirm_top, work.architectures) if sizes.psnr_steps else 0


def _wall(pace: Pace, seconds: float, count: int) -> float:
    """Return the wall seconds of `count` trials of so many seconds, their start included."""
    return pace.start + math.ceil(count / pace.slots) * seconds if count and seconds else 0.0


def seeds_seconds(sizes: Sizes, seeds: int, pace: Pace, work: Work, longer: Iterable[float] = ()) -> float:
    """Return the wall seconds of both phases of `seeds` of each confirmed design, and of `longer` phases."""
    phases = [*longer, *[pace.psnr_phase(sizes.psnr_steps)] * (_psnr_networks(sizes, work) * seeds)]
    own = pace.start + makespan(phases, pace.slots) if phases else 0.0
    return own + _wall(pace, pace.gan_phase(sizes.gan_steps), sizes.confirm_top * seeds)


def seconds_beside(sizes: Sizes, pace: Pace, work: Work) -> dict[str, float]:
    """Return stage -> wall seconds beside the steps of its trials: starts of workers, the whole test."""
    starts = {"screen": pace.start, "repeat": 2 * pace.start, "confirm": 2 * pace.start}
    return starts | {"test": stage_seconds(sizes, pace, work)["test"]}


def makespan(durations: Iterable[float], slots: int) -> float:
    """Return when the last of these trials ends, if each starts in this order as soon as a slot is free."""
    free = [0.0] * max(1, slots)
    end = 0.0
    for seconds in durations:
        end = max(end, heapq.heappushpop(free, free[0] + seconds) + seconds)
    return end
