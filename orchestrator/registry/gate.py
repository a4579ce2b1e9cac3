"""The gate decides, from measured values alone, whether a model may become champion.

Each check has a sentence. Nothing is measured or registered here: evaluations in, decision out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets.splits import least_for_gate
from datasets.text import count
from orchestrator.analysis.intervals import Interval, paired_bootstrap
from trainers.config import ObjectiveConfig
from trainers.evaluate import Evaluation
from trainers.metrics import METRICS, meanings
from trainers.objectives import CONSISTENCY, GRID, GRID_LIMIT, MIN_CONSISTENCY_DB

USES = 20
"""Decisions that one gate set serves, dry runs included, before it must be renewed."""
LEVEL = 1 - 2 * 0.025 / USES
"""Level of every interval of the gate: one-sided errors of all its uses add up to at most 2.5 %. With
intervals of 95 % an equal candidate would pass at least once in twenty tries in a fifth of all cases."""
RESAMPLES = 40_000  # the limits are so far out that 10,000 leave a handful of values beyond them
ANCHORS = ("champion of the same objective", "first champion of the same objective")
"""References that distortion may not fall below by more than the margin. The first one is among them because
a margin against the present champion alone could be used up again at each promotion."""
MORE_IMAGES = "{promote} --gate FOLDER, with more images than these, makes the interval narrower"
ANOTHER_RUN = "promote another run of this sweep: the report's table of all runs has the command of each"
FASTER = "a sweep with --objective.max-ms, which leaves slow designs out"
"""Remedies of checks; {promote} stands for the command that was refused."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The limits of the gate."""

    margin_db: float = 0.5
    """Distortion (dB) that may be lost against each of ANCHORS; smaller is stricter."""
    min_images: int = 30
    """Gate images below which no model is promoted; larger is stricter."""
    mean_tint: float = 2.0
    """Largest tint (gate_images.mean_tint, grey levels of 255); smaller is stricter."""
    slowdown: float = 4.0
    """Longest time per pixel, in multiples of the champion's; smaller is stricter."""


@dataclass(frozen=True)
class Check:
    """One condition: its name, result and the sentence with its numbers."""

    name: str
    passed: bool | None
    """None: too few images to decide, which counts as failed."""
    sentence: str
    remedy: str = ""
    """The remedy if it did not pass."""


@dataclass(frozen=True)
class Decision:
    """All checks of one candidate; every one must hold."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True if the candidate may become champion."""
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """The sentences of the failed checks, or of all checks if none failed."""
        return "; ".join(c.sentence for c in self.checks if self.passed or not c.passed)


DEFECTS = {
    "mean_tint": "mean tint of {value:.2f} grey levels of 255 (at most {limit:g})",
    "slowdown": "{value:.2f} times the champion's time for an image (at most {limit:g} times)",
}
"""Sentences for the values that are limited by the threshold of their name. None is a metric of METRICS."""

SetDifferences = Mapping[tuple[str, str], Interval]
"""(metric, reference name) -> interval of candidate minus reference, for metrics of a whole set."""


def decide(
    candidate: Evaluation,
    references: Mapping[str, Evaluation],
    objective: ObjectiveConfig,
    thresholds: Thresholds,
    set_differences: SetDifferences,
    defects: Mapping[str, float],
) -> Decision:
    """Decide whether a candidate is not worse in distortion, better in perception, and free of defects.

    There must be at least `thresholds.min_images` images. `references` has "bicubic", and, if they are known,
    "warm start", "champion", and those of ANCHORS. The floor in distortion is that of every pick
    (Objectives.floor): delta below the warm start, or below bicubic if there is none, as for a PSNR network;
    the least LR consistency; at most GRID_LIMIT more of the grid's pattern; and the lower end of the
    interval no more than the margin below each anchor. In perception, the whole interval must be on the
    better side of 0 against the champion, or without one, against bicubic and the warm start. Every value of
    `defects` (names as in DEFECTS) must be within its threshold.
    ValueError if a reference was measured by another protocol or on other images than the candidate.
    """
    for name, reference in references.items():
        if reference.protocol != candidate.protocol or reference.keys != candidate.keys:
            raise ValueError(f"{name} was measured by another protocol or on other images than the candidate")

    def difference(metric: str, name: str) -> Interval:
        return difference_to(metric, name, candidate, references[name], set_differences)

    checks = [_enough(len(candidate.keys), thresholds.min_images)]
    start = "warm start" if "warm start" in references else "bicubic"
    checks.append(_within_delta(objective, start, difference(objective.distortion, start).estimate))
    for name in (n for n in ANCHORS if n in references):
        interval = difference(objective.distortion, name)
        checks.append(_not_worse(objective.distortion, name, interval, thresholds))
    if CONSISTENCY in candidate.summary:
        checks.append(_consistent(candidate.summary[CONSISTENCY]))
    if GRID in candidate.summary:
        checks.append(_off_grid(candidate.summary[GRID] - references[start].summary[GRID], start))
    rivals = ["champion"] if "champion" in references else [n for n in references if n not in ANCHORS]
    for name in rivals:
        interval = difference(objective.perceptual, name)
        checks.append(_better(objective.perceptual, name, interval, thresholds))
    checks += [_limited(name, value, getattr(thresholds, name)) for name, value in defects.items()]
    return Decision(tuple(checks))


def difference_to(
    metric: str,
    name: str,
    candidate: Evaluation,
    reference: Evaluation,
    set_differences: SetDifferences,
) -> Interval:
    """Return the interval of candidate minus the reference `name`, at LEVEL."""
    if METRICS[metric].level == "set":
        return set_differences[metric, name]
    pair = candidate.per_image[metric], reference.per_image[metric]
    return paired_bootstrap(*pair, level=LEVEL, resamples=RESAMPLES)


def _within_delta(objective: ObjectiveConfig, start: str, loss: float) -> Check:
    """Check the loss against the network that training began with; `loss` is candidate minus `start`."""
    signed = loss if METRICS[objective.distortion].direction == "max" else -loss
    passed, name = signed >= -objective.delta_db, objective.distortion
    unit = _unit(name)
    rule = f"may be at most {objective.delta_db:g}{unit} worse than {start}"
    sentence = f"{name} {loss:+.4g}{unit} against {start} ({rule})"
    return Check(f"{name} against {start}", passed, sentence, ANOTHER_RUN)


def _consistent(value: float) -> Check:
    sentence = (
        f"LR consistency of {value:.2f} dB, the agreement of the result, made small again, with its input "
        f"(at least {MIN_CONSISTENCY_DB:g} dB)"
    )
    return Check(CONSISTENCY, value >= MIN_CONSISTENCY_DB, sentence, ANOTHER_RUN)


def _off_grid(beyond: float, start: str) -> Check:
    sentence = (
        f"share of fine detail that repeats on the upsampling grid {beyond:+.3f} against {start} (at most "
        f"{GRID_LIMIT:+g})"
    )
    return Check(GRID, beyond <= GRID_LIMIT, sentence, ANOTHER_RUN)


def _limited(name: str, value: float, limit: float) -> Check:
    sentence = DEFECTS[name].format(value=value, limit=limit)
    remedy = FASTER if name == "slowdown" else ANOTHER_RUN
    return Check(name, value <= limit, sentence, remedy)


def _enough(images: int, wanted: int) -> Check:
    needed = f"at least {wanted} are needed"
    sentence = f"{count(images, 'gate image')}" + (f" ({needed})" if images >= wanted else f", {needed}")
    remedy = (
        f"{{promote}} --gate FOLDER ({wanted} or more images of your kind that this sweep did not use), or a "
        f"sweep with {least_for_gate()} or more photographs"
    )
    return Check("evidence", images >= wanted, sentence, remedy)


def _not_worse(metric: str, name: str, interval: Interval, limits: Thresholds) -> Check:
    margin = limits.margin_db
    passed = interval.low >= -margin
    verdict = "holds" if passed else "fails"
    rule = f"{verdict} (the lower end may not be below {-margin:+g}{_unit(metric)})"
    remedy = MORE_IMAGES if interval.estimate >= -margin else ANOTHER_RUN
    return _of_interval(metric, name, interval, limits, passed, rule, remedy)


def _better(metric: str, name: str, interval: Interval, limits: Thresholds) -> Check:
    lower_is_better = METRICS[metric].direction == "min"
    passed = interval.high < 0 if lower_is_better else interval.low > 0
    verdict = "better" if passed else "not shown to be better"
    looks_better = interval.estimate < 0 if lower_is_better else interval.estimate > 0
    direction, side = ("lower", "below") if lower_is_better else ("higher", "above")
    rule = f"{verdict} ({direction} is better; the whole interval must be {side} 0)"
    remedy = MORE_IMAGES if looks_better else ANOTHER_RUN
    return _of_interval(metric, name, interval, limits, passed, rule, remedy)


def _of_interval(
    metric: str, name: str, interval: Interval, limits: Thresholds, passed: bool, rule: str, remedy: str
) -> Check:
    """Return the check of an interval, which fewer images than `limits` asks for do not decide."""
    words = f"{metric} against {name}"
    numbers = f"{interval.estimate:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}]"
    sentence = f"{metric} {numbers}{_unit(metric)} against {name}"
    if interval.n < limits.min_images:
        return Check(words, None, f"{sentence}: not decided: {count(interval.n, 'image')}")
    return Check(words, passed, f"{sentence}: {rule}", remedy)


def _unit(metric: str) -> str:
    """Return a metric's unit after a space; empty if it has none."""
    return f" {METRICS[metric].unit}".rstrip()


def legend(objective: ObjectiveConfig) -> str:
    """Return the meaning of the numbers and metrics in the sentences of checks."""
    explained = meanings(objective.perceptual, objective.distortion)
    return (
        f"a difference is this network minus the other one, over all gate images, and [low, high] its "
        f"interval at {LEVEL:.2%}" + (f"; {explained}" if explained else "")
    )


def gate_metrics(candidate: Evaluation, references: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Return every metric of the candidate as `gate/<metric>`, of references as `gate/<reference>/<metric>`.

    Defects are not among them: their names never meet a metric's in MLflow.
    """
    flat = {f"gate/{metric}": value for metric, value in candidate.summary.items()}
    for name, evaluation in references.items():
        flat |= {f"gate/{name}/{metric}": value for metric, value in evaluation.summary.items()}
    return flat
