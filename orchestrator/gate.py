"""May this model become champion? A pure decision over measured numbers, in checks that explain themselves.

Nothing is measured or registered here: evaluations in, decision out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from orchestrator.statistics import Interval, paired_bootstrap
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


Difference = Mapping[tuple[str, str], Interval]
"""(metric, reference name) -> interval of candidate minus reference, for metrics of a whole set."""


def decide(
    candidate: Evaluation,
    references: Mapping[str, Evaluation],
    objective: ObjectiveConfig,
    thresholds: Thresholds,
    set_differences: Difference,
) -> Decision:
    """The gate (design.md 12, protocol.md 6).

    `references` holds "bicubic", and "champion" or, where there is none yet, "warm start" if known. The
    lower end of the distortion interval must reach bicubic's value and the champion's minus the margin; the
    perceptual interval must lie wholly on the better side of the champion, else of bicubic and the warm
    start. ValueError where an evaluation was made under another protocol.
    """
    for name, reference in references.items():
        if reference.protocol != candidate.protocol or reference.keys != candidate.keys:
            raise ValueError(f"{name} was measured under another protocol than the candidate")

    def difference(metric: str, name: str) -> Interval:
        if METRICS[metric].level == "set":
            return set_differences[metric, name]
        return paired_bootstrap(candidate.per_image[metric], references[name].per_image[metric])

    checks = [_enough(len(candidate.keys), thresholds.min_images)]
    margins = {"bicubic": 0.0, "champion": thresholds.margin_db}
    for name in (n for n in margins if n in references):
        interval = difference(objective.distortion, name)
        checks.append(_not_worse(objective.distortion, name, interval, margins[name]))
    rivals = ["champion"] if "champion" in references else list(references)
    for name in rivals:
        checks.append(_better(objective.perceptual, name, difference(objective.perceptual, name)))
    return Decision(tuple(checks))


def _enough(images: int, wanted: int) -> Check:
    sentence = f"{images} gate images" + ("" if images >= wanted else f", at least {wanted} are needed")
    return Check("evidence", images >= wanted, sentence)


def _not_worse(metric: str, name: str, interval: Interval, margin: float) -> Check:
    passed = interval.low >= -margin
    allowed = f"may not fall more than {margin:g} below" if margin else "may not fall below"
    verdict = "holds" if passed else "fails"
    return Check(
        f"{metric} against {name}",
        passed,
        f"{metric} {words(interval)} against {name}: {verdict} (the lower end {allowed} {name})",
    )


def _better(metric: str, name: str, interval: Interval) -> Check:
    lower_is_better = METRICS[metric].direction == "min"
    passed = interval.high < 0 if lower_is_better else interval.low > 0
    verdict = "better" if passed else "not shown to be better"
    side = "below" if lower_is_better else "above"
    return Check(
        f"{metric} against {name}",
        passed,
        f"{metric} {words(interval)} against {name}: {verdict} (the interval must lie {side} 0)",
    )


def words(interval: Interval) -> str:
    """An interval as people read it: +0.12 [+0.05, +0.19]."""
    return f"{interval.estimate:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}]"


def block_jackknife(whole: float, without: Sequence[float], n: int, level: float = 0.95) -> Interval:
    """Interval of a set-level difference from its values with one block of images left out each time.

    `whole` is the difference on all `n` images, `without` the same without block 1, 2, ...; both models
    lose the same images. Standard error of the delete-a-block jackknife (Efron & Tibshirani, "An
    Introduction to the Bootstrap", 1993, ch. 11) with Student's t. ValueError below two blocks.
    """
    blocks = len(without)
    if blocks < 2:
        raise ValueError(f"a jackknife needs at least 2 blocks, but got {blocks}")
    spread = np.asarray(without, dtype=np.float64)
    error = math.sqrt((blocks - 1) / blocks * float(((spread - spread.mean()) ** 2).sum()))
    reach = -float(stdtrit(blocks - 1, (1 - level) / 2)) * error
    return Interval(whole, whole - reach, whole + reach, n)


def numbers(candidate: Evaluation, references: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Every measured value under `gate/<metric>` and `gate/<reference>/<metric>`."""
    flat = {f"gate/{metric}": value for metric, value in candidate.summary.items()}
    for name, evaluation in references.items():
        flat |= {f"gate/{name}/{metric}": value for metric, value in evaluation.summary.items()}
    return flat
