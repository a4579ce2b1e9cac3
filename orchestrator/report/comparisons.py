"""Comparisons with intervals, paired by seed: the pick against other designs and against its references."""

from dataclasses import dataclass
from html import escape

from datasets.text import short_number
from orchestrator.analysis.intervals import Comparison, hierarchical_bootstrap, welch_difference
from orchestrator.analysis.significance import (
    BEATS,
    LOSES,
    NOT_ENOUGH,
    NOT_SEPARABLE,
    SEEDS_TO_BEAT,
    Verdict,
    between_designs,
)
from orchestrator.report.data import SweepResults
from orchestrator.report.markup import shown_unit, stacked_table
from orchestrator.results.row import Row
from orchestrator.results.sentinels import SENTINELS
from trainers.metrics import METRICS
from trainers.sentinels import GRID_LIMIT

BETTER, WORSE = "better", "worse"
WORDS = {BEATS: BETTER, LOSES: WORSE}
ESTIMATE = f"an estimate from fewer than {SEEDS_TO_BEAT} seeds"
GRID_SENTINEL, GRID = "grid", "grid_detail"
"""The sentinel that has a metric of its own."""


def compare_designs(results: SweepResults) -> tuple[str, dict[str, str]]:
    """Compare every other confirmed design with the pick on the test images, in the perceptual metric.

    Designs are paired by seed. Returns the metric and the verdict by design; ("", {}) if the test images
    were not opened.
    """
    pick, metric = results.pick, results.perceptual
    others = [d for d in results.designs if not d.is_pick and d.tests]
    if pick is None or not pick.tests or not others:
        return "", {}
    comparisons = {}
    for design in others:
        rows = [{row["seed"]: row for row in d.tests} for d in (design, pick)]
        seeds = sorted(rows[0].keys() & rows[1].keys())
        if seeds:
            ours, theirs = ([own[seed] for seed in seeds] for own in rows)
            comparisons[design.name] = _compare(ours, metric, theirs, metric)
    verdicts = between_designs(comparisons, METRICS[metric].direction)
    return metric, {name: _format_verdict(verdict) for name, verdict in verdicts.items()}


def against_references(results: SweepResults, metric: str) -> dict[str, Verdict]:
    """Return "bicubic" and "warm" with the verdict of the pick against it, against warm starts, on test.

    Each network is paired with the warm start of its seed; empty if the test images were not opened.
    """
    tests = results.pick.tests if results.pick else []
    comparisons = {
        name: _compare(tests, metric, tests, f"{name}/{metric}")
        for name in ("bicubic", "warm")
        if tests and all(f"{name}/{metric}" in row["metrics"] for row in tests)
    }
    return between_designs(comparisons, METRICS[metric].direction)


@dataclass(frozen=True)
class Compared:
    """The difference of the picked GAN's metric and a reference's on the test images."""

    against: str
    """The reference in words."""
    metric: str
    difference: float
    interval: str
    """Its 95 % interval as [low, high]; empty if there is not enough evidence for one."""
    word: str
    """BETTER, WORSE, or why it is neither."""
    passed: bool | None = None
    """Whether the GAN may ship by this comparison; None: it does not count for that."""


def compared_to_ship(results: SweepResults) -> list[Compared]:
    """Return the comparisons that the picked GAN must pass to ship, by the images of one network."""
    found = []
    for name, sentinel in results.sentinels.items():
        metric = GRID if name == GRID_SENTINEL else results.perceptual
        difference, low, high = sentinel["interval"]
        strength = f" of strength {sentinel['strength']:g}" if sentinel.get("strength") else ""
        worse = low is not None and high is not None and (low > 0 if _is_less_better(metric) else high < 0)
        word = BETTER if sentinel["beaten"] else WORSE if worse else NOT_SEPARABLE
        if name == GRID_SENTINEL:
            word = f"{'within' if sentinel['beaten'] else 'above'} the limit of {GRID_LIMIT:g}"
        against, interval = SENTINELS[name] + strength, _interval(low, high)
        found.append(Compared(against, metric, difference or 0.0, interval, word, sentinel["beaten"]))
    return found


def compared_with_references(results: SweepResults) -> list[Compared]:
    """Return the comparisons with bicubic and the warm starts in both metrics, over seeds and images."""
    names, found = {"bicubic": "bicubic", "warm": results.warm_name}, []
    for metric in (results.perceptual, results.distortion):
        for name, verdict in against_references(results, metric).items():
            limits, word = verdict.interval, WORDS.get(verdict.word, verdict.word)
            if limits and limits.excludes_zero and word == NOT_SEPARABLE:
                is_better = (limits.high < 0) == _is_less_better(metric)
                word = f"{BETTER if is_better else WORSE}, {ESTIMATE}"
            interval = _interval(limits.low, limits.high) if limits else ""
            found.append(Compared(names[name], metric, verdict.estimate, interval, word))
    return found


def comparisons_table(results: SweepResults) -> str:
    """Return a table of all comparisons of the picked GAN on test; empty before the test stage."""
    rows = [*compared_to_ship(results), *compared_with_references(results)]
    if not rows:
        return ""
    needed = any(row.passed is not None for row in rows)
    marks = {True: "passed", False: "failed", None: ""}
    name = results.pick_name
    body = [
        (
            row.against,
            row.word,
            *([marks[row.passed]] if needed else []),
            f"{row.metric}, {'lower' if _is_less_better(row.metric) else 'higher'} is better",
            " ".join(
                filter(None, (short_number(row.difference, sign="+"), row.interval, shown_unit(row.metric)))
            ),
        )
        for row in rows
    ]
    head = ["compared with", f"{name} is", *(["to ship"] if needed else []), "metric", "difference"]
    how = f"Difference: {name} minus the other, with its 95 % interval."
    if needed:
        how += " To ship, one network must be better over the test images; the other rows are over all seeds."
    return f'{stacked_table(head, body)}<p class="small">{escape(how)}</p>'


def _is_less_better(metric: str) -> bool:
    return METRICS[metric].direction == "min"


def _interval(low: float | None, high: float | None) -> str:
    """Format the ends of an interval, of which one that is not finite is a dash; empty if neither is."""
    if low is None and high is None:
        return ""
    ends = ("–" if end is None else short_number(end, sign="+") for end in (low, high))
    return f"[{', '.join(ends)}]"


def _compare(ours: list[Row], metric: str, theirs: list[Row], other: str) -> Comparison:
    """Compare `metric` of rows with `other` of rows of the same seeds: by image if it has such values."""
    rows = [*zip(ours, theirs, strict=True)]
    if all(metric in a.get("per_image", {}) and other in b.get("per_image", {}) for a, b in rows):
        values = [a["per_image"][metric] for a in ours], [b["per_image"][other] for b in theirs]
        return hierarchical_bootstrap(*values, paired=True)
    images = min(len(row.get("keys", ())) for row in ours)
    means = [a["metrics"][metric] for a in ours], [b["metrics"][other] for b in theirs]
    return welch_difference(*means, images, paired=True)


def _format_verdict(verdict: Verdict) -> str:
    estimate = short_number(verdict.estimate, sign="+")
    if verdict.word == NOT_ENOUGH:
        return f"{NOT_ENOUGH} ({estimate})"
    limits = verdict.interval
    return f"{verdict.word} ({estimate}{f' {_interval(limits.low, limits.high)}' if limits else ''})"
