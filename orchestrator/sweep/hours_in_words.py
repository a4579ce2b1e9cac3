"""The hours of a sweep in words: lines of the plan, the gain of twice as many, and advice."""

import math
import shlex
from collections.abc import Iterable, Mapping
from statistics import NormalDist

from datasets.text import count, short_number
from orchestrator.sweep import hours
from orchestrator.sweep.wall_time import Pace, Sizes, repeat_runs
from trainers.config import TrainConfig, flatten

IN_THE_COMMAND = "recipe", "data.train", "run.psnr_steps", "run.gan_steps"
"""Settings that the advised command names by itself."""
RELIABILITY = 0.7
"""Share of the variance between single runs that is due to their designs, in the recorded problem."""


def describe(asked: float, passed: float, stages: dict[str, float], pace: Pace) -> list[str]:
    """Return lines on the hours at the start of a sweep.

    Args:
        asked: hours that the sweep may take.
        passed: seconds of them that are over.
        stages: stage -> seconds that it will take.
    """
    parts = ", ".join(f"{stage} {seconds / 60:.1f}" for stage, seconds in stages.items())
    lines = [
        f"hours    {asked:g} h: {passed / 60:.1f} of {60 * asked:g} minutes are over; "
        f"then minutes of {parts}; fitted again before each stage"
    ]
    if pace.busy >= 0.25:
        lines.append(
            f"busy     other programs use {pace.busy:.1f} CPU cores of this machine: steps take longer than "
            f"on an idle one, so the plan is smaller; it grows again if they end"
        )
    return lines


def short(asked: float, missing: float) -> str:
    """Return the line for hours that lack `missing` seconds of the least sweep."""
    enough = short_number(asked + missing / 3600, 2)
    return f"short    even the least sweep takes about {enough} h here: this one will end late"


def double(sizes: Sizes, twice: Sizes, asked: float) -> str:
    """Return what twice the hours would give, as a line."""

    def said(s: Sizes) -> str:
        return f"{count(s.trials, 'design')} of {s.psnr_steps:,} PSNR and {s.gan_steps:,} GAN steps"

    told = f"double   {2 * asked:g} h would give {said(twice)} instead of {said(sizes)}"
    before, now = lead(sizes), lead(twice)
    if not 0 < before < now:
        return told
    more = f"the pick would lead an average design by {now / before - 1:.0%} more (model)"
    return f"{told}; {more}, and longer training adds to that"


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


def advice(seconds: float, sizes: Sizes, full: Sizes, pace: Pace, enough: float) -> tuple[str, str]:
    """Return the advice to train one network in place of a sweep, and the flags of its length.

    Both are empty if the designs are enough, or if one network would not train longer than they do. `pace` is
    that of one network, which trains no longer than the recipe says. `seconds` are those that the sweep has
    left, `enough` those of a sweep of enough designs.
    """
    whole = pace.psnr_phase(full.psnr_steps) + pace.gan_phase(full.gan_steps)
    part = min(1.0, max(0.0, seconds) / whole)
    psnr, gan = int(full.psnr_steps * part), int(full.gan_steps * part)
    if sizes.trials >= min(hours.ENOUGH_DESIGNS, full.trials) or psnr <= sizes.psnr_steps:
        return "", ""
    minutes = count(math.ceil(whole * part / 60), "minute")
    return (
        f"with less than about {short_number(enough / 3600, 2)} h here, train one network of the recipe's "
        f"own design in place of a sweep: in about {minutes} it gets {psnr:,} PSNR steps, "
        f"each network of this sweep {sizes.psnr_steps:,}, and so much longer training gains more than the "
        f"choice among fewer than {hours.ENOUGH_DESIGNS} designs",
        f"--run.psnr-steps {psnr} --run.gan-steps {gan}",
    )


def train_command(config: TrainConfig, given: Iterable[str]) -> str:
    """Return the command that trains one network of a sweep's recipe on its images, with the settings given.

    `given` are options without values; those that are no setting, or IN_THE_COMMAND anyway, are left out.
    """
    settings = flatten(config)
    names = (option.removeprefix("--").replace("-", "_") for option in given)
    own = {n: settings[n] for n in names if n in settings and n not in IN_THE_COMMAND}
    words = [f"--{n.replace('_', '-')} {shlex.quote(str(value))}" for n, value in own.items()]
    images = f"--data.train {shlex.quote(config.data.train)}"
    return " ".join(["upsweep train --recipe", config.recipe, images, *words])


def one_network(advice: Mapping[str, str]) -> list[str]:
    """Return the advice as two lines, the second of which is the command alone; none without it."""
    if not advice.get("one_command"):
        return []
    return [f"one      {advice['one']}:", f"    {advice['one_command']}"]


def told_late(asked: float, late: float) -> str:
    """Return the line for a sweep whose remaining stages take `late` seconds more than are left."""
    return (
        f"late     the least of what is left takes about {late / 60:.0f} minutes more than the "
        f"{60 * asked:g}: steps or starts take longer than when they were timed"
    )


def passed_of(asked: float, passed: float) -> str:
    """Return how much of the hours is over, as a line."""
    return f"hours    {passed / 60:.1f} of {60 * asked:g} minutes are over"


def refitted(stage: str, sizes: Sizes) -> str:
    """Return the sizes from `stage` on, as refitted before it."""
    confirm = f"confirm {count(sizes.confirm_top, 'design')} x {count(sizes.confirm_seeds, 'seed')}"
    words = [repeats(sizes.repeat_top), confirm]
    if stage == "confirm":
        words[-1] += f" of {sizes.psnr_steps:,} PSNR and {sizes.gan_steps:,} GAN steps"
    if stage == "confirm" and sizes.repeat_top:
        words.pop(0)
    if stage == "screen":
        words.insert(0, f"screen {count(sizes.trials, 'design')} of {sizes.gan_steps:,} GAN steps")
    return "now planned: " + ", ".join(words)


def repeats(top: int) -> str:
    """Return how many designs and runs the stage of repeats has if it begins with the `top` best designs."""
    return f"repeat {count(top, 'design')} ({repeat_runs(top)} runs)" if top else "repeat none"
