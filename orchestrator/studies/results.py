"""The results of a study's trainings: values per arm, table cells, pictures, and verdicts between arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.analysis.intervals import Comparison, hierarchical_bootstrap, welch_difference
from orchestrator.analysis.significance import Verdict, between_designs
from orchestrator.studies.claims import LEAST, ClaimResult
from orchestrator.studies.extra_metrics import EXTRAS
from orchestrator.studies.spec import Training
from trainers.metrics import METRICS, format_metric


@dataclass(frozen=True)
class FinishedTraining:
    """A training with its measurements, as orchestrator/studies/training.py wrote them."""

    training: Training
    folder: Path
    measured: Mapping[str, Any]

    def value(self, test: str, metric: str) -> float:
        """Return the summary of `metric` on a test set."""
        return float(self.measured["tests"][test]["summary"][metric])

    def curve(self, metric: str) -> list[tuple[float, float]]:
        """Return (step counted over both phases, value on val) of every evaluation."""
        psnr_steps = self.training.config.run.psnr_steps
        return [
            (e["step"] + (psnr_steps if e["phase"] == "gan" else 0), e["val"][metric])
            for e in self.measured["log"]
            if "val" in e
        ]

    def losses(self, term: str) -> list[tuple[float, float]]:
        """Return (step within its phase, value) of a logged loss."""
        return [(e["step"], e["log"][term]) for e in self.measured["log"] if term in e.get("log", {})]


Column = str | FinishedTraining
"""A column of a strip of pictures: input, target or a baseline by name, or the output of a training."""


@dataclass(frozen=True)
class Table:
    """A table of a study; cells are words, or numbers as they are to be printed."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of a study; figures are file names (svg, png) with their content."""

    tables: Sequence[Table]
    figures: Mapping[str, bytes]
    claims: Sequence[ClaimResult]


@dataclass(frozen=True)
class StudyResults:
    """All finished trainings of a study, and the baselines on its test sets."""

    done: Sequence[FinishedTraining]
    baselines: Mapping[str, Mapping[str, Any]]
    """Baseline -> test set -> its measurements."""
    folder: Path
    work_dir: Path

    @property
    def arms(self) -> list[str]:
        """Names of the arms in the order of the plan."""
        return list(dict.fromkeys(d.training.arm for d in self.done))

    def of(self, arm: str) -> list[FinishedTraining]:
        """Return the trainings of an arm that did not diverge, by seed."""
        own = [d for d in self.done if d.training.arm == arm and not d.measured["diverged"]]
        return sorted(own, key=lambda d: d.training.seed)

    def diverged(self) -> list[str]:
        """Return the name of each training that diverged, with step and loss term."""
        return [f"{d.training.name}: {d.measured['diverged']}" for d in self.done if d.measured["diverged"]]

    def mean(self, arm: str, test: str, metric: str) -> float:
        """Return the mean over seeds. UserError if every training diverged."""
        return self.bar(arm, test, metric)[0]

    def bar(self, arm: str, test: str, metric: str) -> tuple[float, float]:
        """Return the mean over seeds and half their range. UserError if every training diverged."""
        values = [d.value(test, metric) for d in self.of(arm)]
        if not values:
            raise UserError(f"every training of arm '{arm}' diverged; lower optim.lr_g or optim.lr_d")
        return sum(values) / len(values), (max(values) - min(values)) / 2

    def baseline(self, kind: str, test: str, metric: str) -> float:
        """Return the summary of a baseline."""
        return float(self.baselines[kind][test]["summary"][metric])

    def cells(self, name: str, test: str, metrics: Sequence[str]) -> list[str]:
        """Return table cells of an arm, mean over seeds ± half their range, or of a baseline, its value."""
        if name in self.baselines:
            return [format_value(m, self.baseline(name, test, m)) for m in metrics]
        bars = [(m, *self.bar(name, test, m)) for m in metrics]
        return [f"{format_value(m, mean)} ± {format_value(m, half)}" for m, mean, half in bars]

    def protocols(self, test: str, metrics: Sequence[str]) -> list[str]:
        """Return the protocol of each metric on a test set, as notes of a table."""
        protocol = self.done[0].measured["tests"][test]["protocol"]
        return [f"{m}: {protocol[m]}" for m in metrics]

    def pictures(self, test: str, index: int, columns: Sequence[Column]) -> list[Path]:
        """Return the paths of one test image's pictures."""
        return [
            self.folder / "pictures" / f"{test}-{c}-{index}.png"
            if isinstance(c, str)
            else c.folder / "pictures" / f"{test}-{index}.png"
            for c in columns
        ]

    def verdict(self, a: str, b: str, test: str, metric: str) -> Verdict:
        """Return the verdict on a - b alone."""
        return self.verdicts(a, [b], test, metric)[b]

    def verdicts(self, a: str, others: Sequence[str], test: str, metric: str) -> dict[str, Verdict]:
        """Return the verdict on a - b for each b of `others`, corrected for their number."""
        comparisons = {b: self.compare(a, b, test, metric) for b in others}
        return between_designs(comparisons, direction(metric), least=LEAST.get(metric, 0.0))

    def compare(self, a: str, b: str, test: str, metric: str) -> Comparison:
        """Return a - b over seeds and images; b may be a baseline. UserError if the protocols differ.

        Arms are paired by seed, unless some of their trainings diverged.
        """
        left, right = self._tests(a, test), self._tests(b, test)
        if a in self.baselines:
            left = left * len(right)
        if len({t["protocol"][metric] for t in (*left, *right)}) > 1:
            raise UserError(f"{metric} of '{a}' and '{b}' was measured in two ways that do not compare")
        if b in self.baselines:  # a baseline has no seeds: repeat it, so that only a's seeds vary
            right = right * len(left)
        arms = [arm for arm in (a, b) if arm not in self.baselines]
        paired = len({tuple(d.training.seed for d in self.of(arm)) for arm in arms}) == 1
        if metric in left[0]["per_image"]:
            x, y = ([t["per_image"][metric] for t in side] for side in (left, right))
            return hierarchical_bootstrap(x, y, paired=paired)
        first, second = ([t["summary"][metric] for t in side] for side in (left, right))
        return welch_difference(first, second, len(left[0]["keys"]), paired=paired)

    def _tests(self, arm: str, test: str) -> list[Mapping[str, Any]]:
        if arm in self.baselines:
            return [self.baselines[arm][test]]
        return [d.measured["tests"][test] for d in self.of(arm)]


def direction(metric: str) -> str:
    """Return the better direction of a metric: max or min."""
    return METRICS[metric].direction if metric in METRICS else EXTRAS[metric].direction


def format_value(metric: str, value: float) -> str:
    """Return a value with the decimals of its metric."""
    return f"{value:.{EXTRAS[metric].decimals}f}" if metric in EXTRAS else format_metric(metric, value)
