"""What a sweep found, in words and numbers; nothing about how it looks.

Every comparison stays within one role: screening and confirmation were measured on val, the answer on test.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.analysis.intervals import hierarchical_bootstrap, paired_bootstrap
from orchestrator.analysis.significance import NOT_ENOUGH, Verdict, between_checkpoints, between_designs
from orchestrator.results.row import design_key
from trainers.metrics import METRICS

Row = dict[str, Any]
SEEDS_FOR_A_CLAIM = 5  # below that an interval over seeds covers too little (protocol of verdicts)


@dataclass(frozen=True)
class Design:
    """One confirmed design: its networks, one per seed."""

    name: str
    rows: list[Row]
    """Confirm rows (val)."""
    tests: list[Row]
    """Test rows of the same networks; empty before the test stage."""
    on_front: bool
    is_pick: bool

    def mean(self, metric: str) -> float | None:
        """Mean over seeds on test, else on val; None where not every seed has it."""
        values = self.values(metric)
        return sum(values) / len(values) if values else None

    def values(self, metric: str) -> list[float]:
        """One value per seed on test, else on val; empty where a seed lacks it."""
        found = [row["metrics"].get(metric) for row in self.tests or self.rows]
        return [] if None in found else [float(value) for value in found]


@dataclass(frozen=True)
class SweepResults:
    """A sweep's files, with what the page asks of them."""

    folder: Path
    sweep: dict[str, Any]
    rows: list[Row]
    distortion: str
    perceptual: str

    @property
    def designs(self) -> list[Design]:
        """Confirmed designs, the pick first, then by the perceptual metric."""
        return sorted(_designs(self.sweep, self.rows), key=self._order)

    def _order(self, design: Design) -> tuple[bool, float]:
        value = design.mean(self.perceptual)
        sign = 1 if METRICS[self.perceptual].direction == "min" else -1
        return not design.is_pick, float("inf") if value is None else sign * value

    @property
    def pick(self) -> Design | None:
        """The recommended design, if there is one."""
        return next((design for design in self.designs if design.is_pick), None)

    def of_stage(self, *stages: str) -> list[Row]:
        """Rows of these stages, diverged and failed ones included."""
        return [row for row in self.rows if row["stage"] in stages]

    def gain(self, design: Design, reference: str) -> float | None:
        """How much better `design` is than "bicubic" or "warm" in the perceptual metric, as a share."""
        ours, theirs = design.mean(self.perceptual), design.mean(f"{reference}/{self.perceptual}")
        if ours is None or not theirs:
            return None
        share = (theirs - ours) / abs(theirs)
        return share if METRICS[self.perceptual].direction == "min" else -share

    def seeds_better(self, design: Design, reference: str) -> int:
        """Seeds of `design` that beat "bicubic" or "warm" in the perceptual metric."""
        ours, theirs = design.values(self.perceptual), design.values(f"{reference}/{self.perceptual}")
        sign = 1 if METRICS[self.perceptual].direction == "min" else -1
        return sum(sign * a < sign * b for a, b in zip(ours, theirs, strict=False))


def read(folder: Path) -> SweepResults:
    """The files of one sweep; a leaderboard that is not there yet is empty."""
    sweep = json.loads((folder / "sweep.json").read_text())
    board = folder / "leaderboard.json"
    rows = json.loads(board.read_text()) if board.exists() else []
    names = {name.removeprefix("objective."): value for name, value in sweep["objective"].items()}
    return SweepResults(folder, sweep, rows, names["distortion"], names["perceptual"])


def _designs(sweep: dict[str, Any], rows: Sequence[Row]) -> list[Design]:
    tests = {row["of"]: row for row in rows if row["stage"] == "test" and "of" in row}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["stage"] == "confirm" and not has_no_result(row):
            groups.setdefault(design_key(row), []).append(row)  # type: ignore[arg-type]
    names = _distinct([group[0]["design"] for group in groups.values()])
    front, pick = set(sweep.get("front") or ()), sweep.get("pick")
    return [
        Design(
            name,
            group,
            [tests[row["trial_id"]] for row in group if row["trial_id"] in tests],
            any(row["trial_id"] in front for row in group),
            any(row["trial_id"] == pick for row in group),
        )
        for name, group in zip(names, groups.values(), strict=True)
    ]


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels with a number where an earlier design has the same one."""
    seen: Counter[str] = Counter()
    names = []
    for text in labels:
        seen[text] += 1
        names.append(f"{text} #{seen[text]}" if seen[text] > 1 else text)
    return names


def has_no_result(row: Row) -> bool:
    """Whether a trial diverged or failed: its numbers are placeholders."""
    return bool(row.get("diverged")) or row["verdict"].startswith(("diverged", "failed", "unfinished"))


def against_pick(facts: SweepResults) -> tuple[str, dict[str, str]]:
    """Every other confirmed design against the pick on the test images: the metric, and words by design.

    By the perceptual metric where it has a value per image, else by the distortion metric. Nothing where
    the test images were not opened.
    """
    pick = facts.pick
    others = [d for d in facts.designs if not d.is_pick and d.tests]
    if pick is None or not pick.tests or not others:
        return "", {}
    held = set.intersection(*(set(row.get("per_image", {})) for d in [pick, *others] for row in d.tests))
    metric = next((m for m in (facts.perceptual, facts.distortion) if m in held), "")
    if not metric:
        return "", {}
    comparisons = {d.name: hierarchical_bootstrap(_images(d, metric), _images(pick, metric)) for d in others}
    found = between_designs(comparisons, METRICS[metric].direction)
    return metric, {name: _against(verdict) for name, verdict in found.items()}


def _images(design: Design, metric: str) -> list[list[float]]:
    return [row["per_image"][metric] for row in design.tests]


def by_image(facts: SweepResults) -> str:
    """The pick against bicubic and its warm starts on each test image, mean over seeds, with intervals.

    Empty where no objective has a value per image.
    """
    tests = facts.pick.tests if facts.pick else []
    told = []
    for metric in (facts.perceptual, facts.distortion):
        for key, word in (("bicubic", "bicubic"), ("warm", "its warm start")):
            names = (metric, f"{key}/{metric}")
            if not tests or any(name not in r.get("per_image", {}) for r in tests for name in names):
                continue
            ours, theirs = (np.mean([r["per_image"][name] for r in tests], axis=0) for name in names)
            found = between_checkpoints(paired_bootstrap(ours, theirs), METRICS[metric].direction)
            told.append(f"{metric} against {word}: {_against(found)}")
    return f"By test image: {'; '.join(told)}." if told else ""


def _against(verdict: Verdict) -> str:
    if verdict.word == NOT_ENOUGH:
        return f"{NOT_ENOUGH} ({verdict.estimate:+.3g})"
    limits = verdict.interval
    reach = f" [{limits.low:+.3g}, {limits.high:+.3g}]" if limits else ""
    return f"{verdict.word} ({verdict.estimate:+.3g}{reach})"


def duration(seconds: float) -> str:
    """Seconds as 12 s, 7 min or 3.4 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
