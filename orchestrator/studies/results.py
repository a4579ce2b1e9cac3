"""What a study's trainings brought, and differences between its arms with what they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.analysis.intervals import Comparison, hierarchical_bootstrap, seed_level
from orchestrator.studies.claims import ClaimResult
from orchestrator.studies.extra_metrics import EXTRA_DIRECTIONS
from orchestrator.studies.spec import Training
from trainers.metrics import METRICS


@dataclass(frozen=True)
class FinishedTraining:
    """A training with what was measured of it."""

    training: Training
    folder: Path
    found: Mapping[str, Any]

    def value(self, test: str, metric: str) -> float:
        """Its number on a test set."""
        return float(self.found["tests"][test]["summary"][metric])

    def curve(self, metric: str) -> list[tuple[float, float]]:
        """(step of both phases, value on val)."""
        psnr_steps = self.training.config.run.psnr_steps
        return [
            (e["step"] + (psnr_steps if e["phase"] == "gan" else 0), e["val"][metric])
            for e in self.found["log"]
            if "val" in e
        ]

    def losses(self, term: str) -> list[tuple[float, float]]:
        """(step of its phase, value) of a logged loss of the GAN phase."""
        return [(e["step"], e["log"][term]) for e in self.found["log"] if term in e.get("log", {})]


@dataclass(frozen=True)
class Table:
    """A table of a study: its columns, and rows of words and numbers."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """What a study says in the end; figures are file names (svg, png) with their content."""

    tables: Sequence[Table]
    figures: Mapping[str, bytes]
    claims: Sequence[ClaimResult]


@dataclass(frozen=True)
class Results:
    """All trainings of a study that ended, and the baselines per test set."""

    done: Sequence[FinishedTraining]
    baselines: Mapping[str, Mapping[str, Any]]
    """Kind -> test set -> numbers."""
    folder: Path
    work_dir: Path

    def of(self, arm: str) -> list[FinishedTraining]:
        """The trainings of an arm that did not diverge, by seed."""
        own = [d for d in self.done if d.training.arm == arm and not d.found["diverged"]]
        return sorted(own, key=lambda d: d.training.seed)

    def diverged(self) -> list[str]:
        """Names of the trainings that diverged, with step and term."""
        return [f"{d.training.name}: {d.found['diverged']}" for d in self.done if d.found["diverged"]]

    def values(self, arm: str, test: str, metric: str) -> list[float]:
        """One number per seed."""
        return [d.value(test, metric) for d in self.of(arm)]

    def mean(self, arm: str, test: str, metric: str) -> float:
        """The mean over seeds. UserError where every training of the arm diverged."""
        values = self.values(arm, test, metric)
        if not values:
            raise UserError(f"every training of arm '{arm}' diverged; lower optim.lr_g or optim.lr_d")
        return sum(values) / len(values)

    def bar(self, arm: str, test: str, metric: str) -> tuple[float, float]:
        """The mean over seeds, and half their range."""
        values = self.values(arm, test, metric)
        return self.mean(arm, test, metric), (max(values) - min(values)) / 2

    def cell(self, arm: str, test: str, metric: str) -> str:
        """The mean over seeds ± half their range, for a table."""
        mean, half = self.bar(arm, test, metric)
        return f"{shown(mean, metric)} ± {shown(half, metric)}"

    def baseline(self, kind: str, test: str, metric: str) -> float:
        """The number of a baseline."""
        return float(self.baselines[kind][test]["summary"][metric])

    def compare(self, a: str, b: str, test: str, metric: str) -> Comparison:
        """a - b over seeds and images; b may be a baseline. UserError where the protocols differ."""
        left, right = self._tests(a, test), self._tests(b, test)
        if len({t["protocol"][metric] for t in (*left, *right)}) > 1:
            raise UserError(f"{metric} of '{a}' and '{b}' was measured in two ways that do not compare")
        if metric in left[0]["per_image"]:
            x, y = ([t["per_image"][metric] for t in side] for side in (left, right))
            if b in self.baselines:  # no seeds of its own: as many, all alike
                y = y * len(x)
            return hierarchical_bootstrap(x, y)
        first, second = ([t["summary"][metric] for t in side] for side in (left, right))
        if b in self.baselines:
            second = second * len(first)
        return seed_level(first, second, len(left[0]["keys"]))

    def _tests(self, arm: str, test: str) -> list[Mapping[str, Any]]:
        if arm in self.baselines:
            return [self.baselines[arm][test]]
        return [d.found["tests"][test] for d in self.of(arm)]


def direction(metric: str) -> str:
    """max or min."""
    return METRICS[metric].direction if metric in METRICS else EXTRA_DIRECTIONS[metric]


def shown(value: float, metric: str) -> str:
    """A value with the decimals of its metric."""
    decimals = {"psnr": 2, "rmse": 2, "chro": 2, "ssim": 4, "swd": 1, "colo": 2, "niqe": 2}
    return f"{value:.{decimals.get(metric[:4].rstrip('_'), 3)}f}"
