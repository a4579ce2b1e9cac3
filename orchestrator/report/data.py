"""The data of a report: a sweep's files, its confirmed designs and their means.

Screening and confirmation were measured on val, the answer on test; no difference mixes the two.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.files import read_json, reading
from orchestrator.results.leaderboard import group_by_design
from orchestrator.results.row import Row
from orchestrator.results.sentinels import SENTINELS
from orchestrator.results.sweep_folder import ROW_KEYS
from trainers.metrics import METRICS


@dataclass(frozen=True)
class Design:
    """One confirmed design: its networks, one per seed."""

    name: str
    rows: list[Row]
    """Confirm rows (val)."""
    tests: list[Row]
    """Test rows of these networks; empty before the test stage."""
    on_front: bool
    is_pick: bool

    def mean(self, metric: str) -> float | None:
        """Return the mean over seeds on test, else on val; None if a seed lacks the metric."""
        values = self.values(metric)
        return sum(values) / len(values) if values else None

    def values(self, metric: str) -> list[float]:
        """Return one value per seed on test, else on val; empty if a seed lacks the metric."""
        rows = self.tests or self.rows
        return [row["metrics"][metric] for row in rows] if all(metric in r["metrics"] for r in rows) else []


@dataclass(frozen=True)
class SweepResults:
    """The files of one sweep, and the questions that the report asks of them."""

    folder: Path
    sweep: dict[str, Any]
    """The content of sweep.json."""
    rows: list[Row]
    """The content of leaderboard.json."""
    distortion: str
    perceptual: str
    """The second objective; of a fidelity sweep another distortion metric."""

    @property
    def is_fidelity(self) -> bool:
        """True if the sweep had no GAN phase."""
        return _steps(self.sweep, "gan") == 0

    @property
    def sign(self) -> int:
        """The factor of the perceptual metric that makes smaller values better: 1 or -1."""
        return 1 if METRICS[self.perceptual].direction == "min" else -1

    @property
    def warm_name(self) -> str:
        """The network that the GAN phases started from, in words."""
        start = self.sweep.get("start")
        return f"the file you started from ({start['source']})" if start else "its warm start"

    @property
    def opponent(self) -> tuple[str, str]:
        """The reference that a pick has to better, "warm" or "bicubic", and its name in words."""
        return ("warm", self.warm_name) if _has_warm_starts(self.sweep) else ("bicubic", "bicubic")

    @property
    def designs(self) -> list[Design]:
        """Confirmed designs, the pick first, then by the perceptual metric."""
        return sorted(_designs(self.sweep, self.rows), key=self._order)

    def _order(self, design: Design) -> tuple[bool, float]:
        value = design.mean(self.perceptual)
        return not design.is_pick, float("inf") if value is None else self.sign * value

    @property
    def pick(self) -> Design | None:
        """The recommended design, if there is one."""
        return next((design for design in self.designs if design.is_pick), None)

    @property
    def pick_name(self) -> str:
        """The picked design in words: "the pick", or "the best GAN" if it does not ship."""
        return "the best GAN" if self.sweep.get("unbeaten") else "the pick"

    @property
    def shipped(self) -> Design | None:
        """The PSNR network that ships in place of the pick; None if the pick ships, or nothing does."""
        ships = self.sweep.get("pick")
        if not ships or ships == self.sweep.get("gan_pick", ships):
            return None
        row = next((row for row in self.rows if row["trial_id"] == ships), None)
        return None if row is None else Design(row["design"], [row], [row], on_front=False, is_pick=False)

    @property
    def sentinels(self) -> dict[str, dict[str, Any]]:
        """Comparisons of the picked GAN on test that it must pass to ship (Row.sentinels); {} if none."""
        return self.tested_pick.get("sentinels", {}) if self.tested_pick else {}

    @property
    def second_opinion(self) -> dict[str, dict[str, Any]]:
        """Comparisons of the picked GAN in a metric that decides nothing (Row.second_opinion); {} if none."""
        return self.tested_pick.get("second_opinion", {}) if self.tested_pick else {}

    @property
    def opponents(self) -> dict[str, str]:
        """The networks of `second_opinion` in words."""
        return {"warm": self.warm_name, "longer": self.longer_name}

    @property
    def tested_pick(self) -> Row | None:
        """The test row of the picked network: the picked GAN's best seed on val; None before the test."""
        tests = self.pick.tests if self.pick else []
        return next((row for row in tests if row["of"] == picked(self.sweep)), None)

    @property
    def longer_name(self) -> str:
        """The name of the PSNR network that cost as much as the picked GAN; in words if it has no row."""
        tested, metrics = self.tested_pick, (self.perceptual, self.distortion)
        for row in self.of_stage("test") if tested else ():
            values = [tested["metrics"].get(f"longer/{m}") for m in metrics] if tested else []
            if "val" in row and [row["metrics"].get(m) for m in metrics] == values:
                return row["design"]
        return SENTINELS["longer"]

    def of_stage(self, *stages: str) -> list[Row]:
        """Return the rows of `stages`, diverged and failed ones included."""
        return [row for row in self.rows if row["stage"] in stages]

    def gain(self, design: Design, reference: str) -> float | None:
        """Return by which share `design` is better than "bicubic" or "warm" in the perceptual metric."""
        ours, theirs = design.mean(self.perceptual), design.mean(f"{reference}/{self.perceptual}")
        if ours is None or not theirs:
            return None
        return self.sign * (theirs - ours) / abs(theirs)

    def seeds_better(self, design: Design, reference: str, metric: str) -> int:
        """Count the seeds of `design` that have a better `metric` than "bicubic" or "warm"."""
        ours, theirs = design.values(metric), design.values(f"{reference}/{metric}")
        sign = 1 if METRICS[metric].direction == "min" else -1
        return sum(sign * a < sign * b for a, b in zip(ours, theirs, strict=False))


def read(folder: Path) -> SweepResults:
    """Read the files of one sweep; a leaderboard that is not written yet counts as empty."""
    sweep = read_json(folder / "sweep.json", keys=("objective",))
    rows = read_json(folder / "leaderboard.json", list, ROW_KEYS)
    return from_parts(folder, sweep, rows)


def from_parts(folder: Path, sweep: dict[str, Any], rows: list[Row]) -> SweepResults:
    """Return the results of a sweep from the content of its files, of which `folder` may hold none yet."""
    with reading(folder / "sweep.json"):
        names = {name.removeprefix("objective."): value for name, value in sweep["objective"].items()}
        warm = _has_warm_starts(sweep)  # elsewhere bicubic took their place, and has its own name
        rows = [row if warm and "val" not in row else _without_warm_start(row) for row in rows]
        return SweepResults(folder, sweep, rows, names["distortion"], names["perceptual"])


def _has_warm_starts(sweep: dict[str, Any]) -> bool:
    start = sweep.get("request", {}).get("config", {}).get("run.start_from")
    return bool(start) or (_steps(sweep, "psnr") != 0 and _steps(sweep, "gan") != 0)


def _steps(sweep: dict[str, Any], phase: str) -> int | None:
    return sweep.get("request", {}).get("config", {}).get(f"run.{phase}_steps")


def _without_warm_start(row: Row) -> Row:
    metrics = {name: value for name, value in row["metrics"].items() if not name.startswith("warm/")}
    return {**row, "metrics": metrics}


def _designs(sweep: dict[str, Any], rows: Sequence[Row]) -> list[Design]:
    tests = {row["of"]: row for row in rows if row["stage"] == "test" and "of" in row}
    confirmed = [row for row in rows if row["stage"] == "confirm" and not has_no_result(row)]
    groups = group_by_design(confirmed).values()
    front, pick = set(sweep.get("front") or ()), picked(sweep)
    return [
        Design(
            name,
            group,
            [tests[row["trial_id"]] for row in group if row["trial_id"] in tests],
            any(row["trial_id"] in front for row in group),
            any(row["trial_id"] == pick for row in group),
        )
        for name, group in zip(_distinct(group[0]["design"] for group in groups), groups, strict=True)
    ]


def _distinct(labels: Iterable[str]) -> list[str]:
    """Return the labels, numbered from the second design with the same label on."""
    seen: Counter[str] = Counter()
    names = []
    for text in labels:
        seen[text] += 1
        names.append(f"{text} #{seen[text]}" if seen[text] > 1 else text)
    return names


def picked(sweep: dict[str, Any]) -> str | None:
    """Return the trial id of the GAN that was picked on val, even if a PSNR network ships in its place."""
    return sweep.get("gan_pick") or sweep.get("pick")


def has_no_result(row: Row) -> bool:
    """Return True if the trial diverged or failed, so that its numbers are placeholders."""
    return bool(row.get("diverged")) or row["verdict"].startswith(("diverged", "failed", "unfinished"))
