"""The sizes of a sweep that fit into given seconds (pure functions).

One number decides all sizes, the designs to screen as a real number (`sizes_at`). Two designs are the fewest:
where the number is smaller, only phases are shorter. So a short sweep spends its time on longer phases, which
gain more there than further designs do, until they have SHORT_STEPS; from there designs and phases grow
together, and at the space's own number of designs every phase has the length of the recipe. Every size is a
monotone function of that number, and so is the time: the largest that fits is found by bisection, and more
hours never give less of anything.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.sweep.wall_time import (
    GAN_EVALUATIONS,
    PSNR_EVALUATIONS,
    Pace,
    Sizes,
    Work,
    seconds_of,
    seeds_seconds,
    stage_seconds,
)

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
LEAST_PSNR, LEAST_GAN, LEAST_DESIGNS, MOST_DESIGNS = 40, 24, 2, 4096.0
SHORT_STEPS = 5_000
"""PSNR steps below which longer phases gain more than further designs: 0.01 to 0.03 LPIPS-alex per doubling
of recipe photos_small. In the recorded photographs the better of two designs gains 0.01, the best of four
another 0.007, that of eight another 0.004 (docs/hours.md)."""
ENOUGH_DESIGNS = 8
"""Designs from which a sweep is expected to beat one network that gets all its time: the best of eight gains
0.02 over an average one, as much as one or two doublings of a short phase (docs/hours.md)."""


def sizes_at(designs: float, full: Sizes, fixed: Mapping[str, int]) -> Sizes:
    """Return the sizes of a sweep of so many `designs`, a real number; each of them is monotone in it.

    `full` are those of the recipe and its space; `fixed` are sizes that are given.
    """
    part = designs / full.trials
    share = _share(designs, full)
    trials = fixed.get("trials", max(LEAST_DESIGNS, int(designs)))
    growing = {
        "psnr_steps": min(full.psnr_steps, max(LEAST_PSNR, int(full.psnr_steps * share))),
        "gan_steps": min(full.gan_steps, max(LEAST_GAN, int(full.gan_steps * share))),
        "trials": trials,
        "repeat_top": min(trials, int(full.repeat_top * part)),
        "confirm_top": min(trials, _confirmed(part, full.confirm_top)),
        "confirm_seeds": _seeds(designs, part, full.confirm_seeds),
    }
    return Sizes(**(growing | dict(fixed)))


def _share(designs: float, full: Sizes) -> float:
    """Return how much of the recipe's phases so many designs are trained, in [0, 1].

    It grows from 0 to SHORT_STEPS at the fewest designs, then as a power of the number, to 1 at the full one.
    """
    if designs >= full.trials:
        return 1.0
    steps = full.psnr_steps or full.gan_steps
    short = min(1.0, SHORT_STEPS / steps) if full.trials > LEAST_DESIGNS else 1.0
    if designs <= LEAST_DESIGNS:
        return short * designs / LEAST_DESIGNS
    return short ** (math.log(full.trials / designs) / math.log(full.trials / LEAST_DESIGNS))


def _confirmed(part: float, full: int) -> int:
    """Return the designs to confirm: one of a quarter of the full number, and more beyond all of it."""
    return 1 if part < 1 / 4 else max(full, int(full * part))


def _seeds(designs: float, part: float, full: int) -> int:
    """Return the seeds of a confirmed design: one for three designs, all from three eighths of the full
    number on."""
    few = 1 if designs < 4 else 2 if part < 3 / 16 else 3 if part < 3 / 8 else full
    return min(few, full)


def further_seeds(seconds: float, sizes: Sizes, most: int, pace: Pace, work: Work) -> int:
    """Return for how many further seeds of each confirmed design there is time before the test.

    `sizes` has the seeds that are done; in all they are at most `most`.
    """
    for more in range(most - sizes.confirm_seeds, 0, -1):
        whole = replace(sizes, confirm_seeds=sizes.confirm_seeds + more)
        if seeds_seconds(sizes, more, pace, work) + stage_seconds(whole, pace, work)["test"] <= seconds:
            return more
    return 0


def stretched(
    seconds: float,
    sizes: Sizes,
    full: Sizes,
    fixed: Mapping[str, int],
    pace: Pace,
    work: Work,
    first: str = "confirm",
) -> Sizes:
    """Return `sizes` with phases of the confirmation such that the stages from `first` on take `seconds`.

    They are at most as long as the recipe's, and at least half as long as in screening. Less than a twentieth
    is no reason to differ from it. Lengths that are `fixed` stay. Seeds are added that take no time, because
    a slot would be idle.
    """
    if {"psnr_steps", "gan_steps"} & fixed.keys():
        return _with_idle_slots(sizes, full, fixed, pace, work)

    def at(factor: float) -> Sizes:
        psnr, gan = round(factor * sizes.psnr_steps), round(factor * sizes.gan_steps)
        return replace(sizes, psnr_steps=min(full.psnr_steps, psnr), gan_steps=min(full.gan_steps, gan))

    before = seconds_of(sizes, pace, work, first, "confirm")
    factor = _largest(
        lambda factor: before + seconds_of(at(factor), pace, work, "confirm"),
        seconds,
        0.5,
        max(full.gan_steps / sizes.gan_steps, full.psnr_steps / max(1, sizes.psnr_steps)),
    )
    sizes = sizes if abs(factor - 1) < 1 / 20 else at(factor)
    return _with_idle_slots(sizes, full, fixed, pace, work)


def _with_idle_slots(sizes: Sizes, full: Sizes, fixed: Mapping[str, int], pace: Pace, work: Work) -> Sizes:
    """Return the sizes with the most seeds that make confirmation and test longer by a fiftieth at most."""
    most = fixed.get("confirm_seeds", max(full.confirm_seeds, sizes.confirm_seeds))
    taken = seconds_of(sizes, pace, work, "confirm")
    for seeds in range(most, sizes.confirm_seeds, -1):
        more = replace(sizes, confirm_seeds=seeds)
        if seconds_of(more, pace, work, "confirm") <= 1.02 * taken:
            return more
    return sizes


def fit(
    seconds: float, pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work, first: str = "warm"
) -> Sizes:
    """Return the largest sizes whose stages from `first` on take at most `seconds`, else the least sizes."""
    return sizes_at(designs_that_fit(seconds, pace, full, fixed, work, first), full, fixed)


def designs_that_fit(
    seconds: float, pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work, first: str
) -> float:
    """Return the number of designs of the largest sweep whose stages from `first` on take at most `seconds`.

    0, which stands for the least sizes, if even those take longer.
    """
    return _largest(
        lambda designs: seconds_of(sizes_at(designs, full, fixed), pace, work, first),
        seconds,
        0.0,
        MOST_DESIGNS,
    )


def _largest(taken: Callable[[float], float], seconds: float, low: float, high: float) -> float:
    """Return the largest number from `low` on, below `high`, that takes at most `seconds`, else `low`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if taken(middle) <= seconds else (low, middle)
    return low


def enough_seconds(pace: Pace, full: Sizes, fixed: Mapping[str, int], work: Work) -> float:
    """Return the seconds of a sweep of ENOUGH_DESIGNS, or of the whole space if it has fewer."""
    return seconds_of(sizes_at(min(ENOUGH_DESIGNS, full.trials), full, fixed), pace, work)


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
