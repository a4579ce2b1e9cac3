"""May this model become champion? A pure decision over measured numbers, in checks that explain themselves.

Nothing is measured or registered here: evaluations in, decision out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis.intervals import Interval, paired_bootstrap
from trainers.config import ObjectiveConfig
from trainers.evaluate import Evaluation
from trainers.metrics import METRICS


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a candidate must reach."""

    margin_db: float = 0.5
    """Distortion that may be lost against the champion (dB); smaller is stricter."""
    min_images: int = 30
    """Below this many gate images there is not enough evidence for any promotion."""
    colour_shift: float = 2.0
    """Mean tint allowed (grey levels of 255)."""
    checkerboard: float = 1.0
    """Strength allowed of a grid with the period of the scale (grey levels of 255)."""
    slowdown: float = 4.0
    """Time a pixel may take, in multiples of the champion's."""


@dataclass(frozen=True)
class Check:
    """One condition, whether it holds, and the sentence with its numbers."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Decision:
    """All checks of one candidate; every one must hold."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may become champion."""
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """The sentences that decide: the failed checks of a refusal, else all of them."""
        return "; ".join(c.sentence for c in self.checks if self.passed or not c.passed)


FAULTS = {
    "colour_shift": "mean tint of {value:.2f} grey levels",
    "checkerboard": "grid of {value:.2f} grey levels",
    "slowdown": "{value:.2f} times the champion's time",
}
"""What is measured beside the objectives, each limited by the threshold of the same name."""

Difference = Mapping[tuple[str, str], Interval]
"""(metric, reference name) -> interval of candidate minus reference, for metrics of a whole set."""


def decide(
    candidate: Evaluation,
    references: Mapping[str, Evaluation],
    objective: ObjectiveConfig,
    thresholds: Thresholds,
    set_differences: Difference,
    faults: Mapping[str, float],
) -> Decision:
    """The gate: not worse in distortion, better in perception, no fault that a mean hides.

    `references` holds "bicubic", and "champion" or, where there is none yet, "warm start" if known. The
    lower end of the distortion interval may not fall more than the margin below the champion or bicubic
    (non-inferiority), and the estimate itself not below bicubic, the floor of every pick; the perceptual
    interval must lie wholly on the better side of the champion, else of bicubic and the warm start; every
    fault measured (names as in FAULTS) must stay within its threshold.
    ValueError where an evaluation was made under another protocol.
    """
    for name, reference in references.items():
        if reference.protocol != candidate.protocol or reference.keys != candidate.keys:
            raise ValueError(f"{name} was measured under another protocol than the candidate")

    def difference(metric: str, name: str) -> Interval:
        if METRICS[metric].level == "set":
            return set_differences[metric, name]
        return paired_bootstrap(candidate.per_image[metric], references[name].per_image[metric])

    checks = [_enough(len(candidate.keys), thresholds.min_images)]
    floors = {"bicubic": 0.0, "champion": -thresholds.margin_db}
    for name in (n for n in floors if n in references):
        interval = difference(objective.distortion, name)
        checks.append(_not_worse(objective.distortion, name, interval, thresholds.margin_db, floors[name]))
    rivals = ["champion"] if "champion" in references else list(references)
    for name in rivals:
        checks.append(_better(objective.perceptual, name, difference(objective.perceptual, name)))
    checks += [_limited(name, value, getattr(thresholds, name)) for name, value in faults.items()]
    return Decision(tuple(checks))


def _limited(name: str, value: float, limit: float) -> Check:
    sentence = FAULTS[name].format(value=value)
    return Check(name, value <= limit, f"{sentence} (at most {limit:g})")


def _enough(images: int, wanted: int) -> Check:
    sentence = f"{images} gate images" + ("" if images >= wanted else f", at least {wanted} are needed")
    return Check("evidence", images >= wanted, sentence)


def _not_worse(metric: str, name: str, interval: Interval, margin: float, floor: float) -> Check:
    passed = interval.low >= -margin and interval.estimate >= floor
    verdict = "holds" if passed else "fails"
    rule = f"the lower end may not fall below {-margin:+g}, nor the estimate below {floor:+g}"
    sentence = f"{metric} {format_interval(interval)} against {name}: {verdict} ({rule})"
    return Check(f"{metric} against {name}", passed, sentence)


def _better(metric: str, name: str, interval: Interval) -> Check:
    lower_is_better = METRICS[metric].direction == "min"
    passed = interval.high < 0 if lower_is_better else interval.low > 0
    verdict = "better" if passed else "not shown to be better"
    side = "below" if lower_is_better else "above"
    return Check(
        f"{metric} against {name}",
        passed,
        f"{metric} {format_interval(interval)} against {name}: {verdict} (the interval must lie {side} 0)",
    )


def format_interval(interval: Interval) -> str:
    """An interval as people read it: +0.12 [+0.05, +0.19]."""
    return f"{interval.estimate:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}]"


def gate_metrics(candidate: Evaluation, references: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Every measured value under `gate/<metric>` and `gate/<reference>/<metric>`."""
    flat = {f"gate/{metric}": value for metric, value in candidate.summary.items()}
    for name, evaluation in references.items():
        flat |= {f"gate/{name}/{metric}": value for metric, value in evaluation.summary.items()}
    return flat
