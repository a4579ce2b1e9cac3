"""The sizes of a sweep that fit into given seconds: pure functions, whose measured input is a `Pace`.

One number decides all sizes, the designs to screen as a real number (`sizes_at`). The shortest sweep has 2 of
them; at the space's own number every phase has the length of the recipe. In between, the length of a phase
grows with the square of the number of designs, because while phases are short, longer ones gain more than
further designs do; so in eight times the time a sweep has twice as many designs, each trained four times as
long. Every size is a monotone function of that number, and so is the time: the largest that fits is found by
bisection, and more hours never give less of anything.
"""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

COUNTS = ("trials", "repeat_top", "confirm_top", "confirm_seeds")
"""Options of a sweep that hours decide, as far as they are not given."""
HOURS_DECIDE = (
    "run.psnr_steps",
    "run.gan_steps",
    "run.eval_every_steps",
    "run.psnr_eval_every_steps",
    "run.log_every_steps",
    "run.checkpoint_every_steps",
    "run.ema_decay",
)
"""Settings of a run that they decide (run_settings)."""
EFFORTS = {"quick": 0.25, "overnight": 10.0}
"""--effort -> hours."""
PSNR_EVALUATIONS, GAN_EVALUATIONS = 3, 8
"""Evaluations on val in a phase, unless the recipe has them further apart."""
LEAST_PSNR, LEAST_GAN, LEAST_DESIGNS, MOST_DESIGNS = 40, 24, 2.0, 4096.0
ENOUGH_PSNR_STEPS = 1_500
"""PSNR steps below which a network gains more from a longer phase than from the choice of its design: with
480, three times as many gained more in LPIPS than most GAN phases did."""
RELIABILITY = 0.7
"""Share of the variance between single runs that is due to their designs, in the recorded problem."""


@dataclass(frozen=True)
class Sizes:
    """The numbers that decide how long a sweep takes, named as in Request and RunConfig."""

    psnr_steps: int
    gan_steps: int
    trials: int
    repeat_top: int
    confirm_top: int
    confirm_seeds: int


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


def sizes_at(designs: float, full: Sizes, fixed: Mapping[str, int]) -> Sizes:
    """Return the sizes of a sweep of so many `designs`, a real number; each of them is monotone in it.

    `full` are those of the recipe and its space; `fixed` are sizes that are given.
    """
    part = designs / full.trials
    share = min(1.0, part**2)
    trials = fixed.get("trials", max(1, int(designs)))
    growing = {
        "psnr_steps": min(full.psnr_steps, max(LEAST_PSNR, int(full.psnr_steps * share))),
        "gan_steps": min(full.gan_steps, max(LEAST_GAN, int(full.gan_steps * share))),
        "trials": trials,
        "repeat_top": min(trials, int(full.repeat_top * part)),
        "confirm_top": min(trials, _confirmed(part, full.confirm_top)),
        "confirm_seeds": _seeds(designs, part, full.confirm_seeds),
    }
    return Sizes(**(growing | dict(fixed)))


def _confirmed(part: float, full: int) -> int:
    """Return the designs to confirm: one of a quarter of the full number, and more beyond all of it."""
    return 1 if part < 1 / 4 else max(full, int(full * part))


def _seeds(designs: float, part: float, full: int) -> int:
    """Return the seeds of a confirmed design: one for three designs, all from three eighths of the full
    number on."""
    few = 1 if designs < 4 else 2 if part < 3 / 16 else 3 if part < 3 / 8 else full
    return min(few, full)


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
        "confirm": _seeds_seconds(s, s.confirm_seeds, pace, work, longer),
        "test": _wall(pace, pace.test, s.confirm_top * s.confirm_seeds + networks) + pace.ending,
    }


def repeat_runs(top: int) -> int:
    """Return the runs of the repeats: the `top` best designs once, the best half of them twice more."""
    return top + 2 * -(-top // 2)


def _psnr_networks(sizes: Sizes, work: Work) -> int:
    """Return the architectures that are confirmed at most, each with PSNR phases of its own."""
    return min(sizes.confirm_top, work.architectures) if sizes.psnr_steps else 0


def _wall(pace: Pace, seconds: float, count: int) -> float:
    """Return the wall seconds of `count` trials of so many seconds, their start included."""
    return pace.start + math.ceil(count / pace.slots) * seconds if count and seconds else 0.0


def _seeds_seconds(sizes: Sizes, seeds: int, pace: Pace, work: Work, longer: Iterable[float] = ()) -> float:
    """Return the wall seconds of both phases of `seeds` of each confirmed design, and of `longer` phases."""
    phases = [*longer, *[pace.psnr_phase(sizes.psnr_steps)] * (_psnr_networks(sizes, work) * seeds)]
    own = pace.start + makespan(phases, pace.slots) if phases else 0.0
    return own + _wall(pace, pace.gan_phase(sizes.gan_steps), sizes.confirm_top * seeds)


def further_seeds(seconds: float, sizes: Sizes, most: int, pace: Pace, work: Work) -> int:
    """Return for how many further seeds of each confirmed design there is time before the test.

    `sizes` has the seeds that are done; in all they are at most `most`.
    """
    for more in range(most - sizes.confirm_seeds, 0, -1):
        whole = replace(sizes, confirm_seeds=sizes.confirm_seeds + more)
        if _seeds_seconds(sizes, more, pace, work) + stage_seconds(whole, pace, work)["test"] <= seconds:
            return more
    return 0


def makespan(durations: Iterable[float], slots: int) -> float:
    """Return when the last of these trials ends, if each starts in this order as soon as a slot is free."""
    free = [0.0] * max(1, slots)
    end = 0.0
    for seconds in durations:
        end = max(end, heapq.heappushpop(free, free[0] + seconds) + seconds)
    return end


def fit(
    seconds: float, pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work, first: str = "warm"
) -> Sizes:
    """Return the largest sizes whose stages from `first` on take at most `seconds`, else the least sizes."""
    designs = designs_that_fit(seconds, pace, full, fixed, work, first)
    return sizes_at(max(designs, LEAST_DESIGNS), full, fixed)


def designs_that_fit(
    seconds: float, pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work, first: str
) -> float:
    """Return the number of designs of the largest sweep whose stages from `first` on take at most `seconds`.

    0 if even those of the least sweep take longer.
    """

    def left(designs: float) -> float:
        stages = stage_seconds(sizes_at(designs, full, fixed), pace, work)
        return sum(list(stages.values())[list(stages).index(first) :])

    low, high = LEAST_DESIGNS, MOST_DESIGNS
    if left(low) > seconds:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) <= seconds else (low, middle)
    return low


def enough_seconds(pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work) -> float:
    """Return the seconds of the least sweep whose designs have ENOUGH_PSNR_STEPS, if it decides them."""
    designs = full.trials * math.sqrt(ENOUGH_PSNR_STEPS / max(1, full.psnr_steps))
    return sum(stage_seconds(sizes_at(designs, full, fixed), pace, work).values())


def seconds_beside(sizes: Sizes, pace: Pace, work: Work) -> dict[str, float]:
    """Return stage -> wall seconds beside the steps of its trials: starts of workers, the whole test."""
    starts = {"screen": pace.start, "repeat": 2 * pace.start, "confirm": 2 * pace.start}
    return starts | {"test": stage_seconds(sizes, pace, work)["test"]}


def run_settings(sizes: Sizes, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that follow from its phases' lengths, under their dotted names.

    `run` are those of the recipe: evaluations and checkpoints are never further apart than there, and the
    average of the weights is over a quarter of the GAN phase at most.
    """
    every = max(1, min(run["run.eval_every_steps"], sizes.gan_steps // GAN_EVALUATIONS))
    psnr_every = max(1, min(run["run.psnr_eval_every_steps"], sizes.psnr_steps // PSNR_EVALUATIONS))
    return {
        "run.psnr_steps": sizes.psnr_steps,
        "run.gan_steps": sizes.gan_steps,
        "run.eval_every_steps": every,
        "run.psnr_eval_every_steps": psnr_every,
        "run.log_every_steps": min(run["run.log_every_steps"], every),
        "run.checkpoint_every_steps": min(run["run.checkpoint_every_steps"], 3 * every),
        "run.ema_decay": min(run["run.ema_decay"], round(1 - 4 / max(8, sizes.gan_steps), 4)),
    }


def lead(sizes: Sizes) -> float:
    """Return by how much the pick is expected to lead an average design, in standard deviations of designs.

    A model: designs are normal, and one run tells them apart with RELIABILITY, a mean of runs with more
    (Spearman, 1910; Brown, 1910). It knows nothing of what longer phases gain.
    """
    repeats = 1 + (3 if sizes.repeat_top else 0) / 2
    known = repeats * RELIABILITY / (1 + (repeats - 1) * RELIABILITY)
    n = max(1, sizes.trials)
    # Blom (1958): expected value of the largest of n normal values
    return math.sqrt(known) * NormalDist().inv_cdf((n - 0.375) / (n + 0.25))
