"""Comparisons with intervals, paired by seed: the pick against other designs and against its references."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from datasets.text import count, short_number
from orchestrator.analysis.intervals import Comparison, hierarchical_bootstrap, welch_difference
from orchestrator.analysis.significance import (
    BEATS,
    LOSES,
    NOT_ENOUGH,
    NOT_SEPARABLE,
    POWER,
    SEEDS_TO_BEAT,
    Verdict,
    between_designs,
    seen_with_power,
)
from orchestrator.report.data import SweepResults
from orchestrator.report.markup import shown_unit, stacked_table
from orchestrator.results.row import Row
from orchestrator.results.sentinels import SENTINELS, is_worse
from trainers.metrics import METRICS
from trainers.objectives import GRID, GRID_LIMIT

BETTER, WORSE = "better", "worse"
WORDS = {BEATS: BETTER, LOSES: WORSE}
DIFFERENCE = ("metric", "difference")
"""The titles of the last columns."""
STRENGTHS = {"sharpened": "strength {:g}", "noisy": "{:g} of 255 grey levels"}
ESTIMATE = f"an estimate from fewer than {SEEDS_TO_BEAT} seeds"
GRID_SENTINEL = "grid"
"""The sentinel that has a metric of its own, GRID."""


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
    words = {
        d.name: _format_verdict(verdicts[d.name], metric, len(d.tests), len(verdicts))
        for d in others
        if d.name in verdicts
    }
    return metric, words


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

    name: str
    """The reference: a sentinel, "bicubic" or "warm"."""
    against: str
    """The reference in words."""
    metric: str
    difference: float
    interval: str
    """Its 95 % interval as [low, high]; empty if there is not enough evidence for one."""
    word: str
    """BETTER, WORSE, or why it is neither."""
    passed: bool | None = False
    """True if the GAN may ship by this comparison, of those to ship; None if it decides nothing."""


def compared_to_ship(results: SweepResults) -> list[Compared]:
    """Return the comparisons that the picked GAN must pass to ship, by the images of one network."""
    rows = []
    for name, found in results.sentinels.items():
        metric = GRID if name == GRID_SENTINEL else results.perceptual
        against = results.longer_name if name == "longer" else SENTINELS[name]
        if strength := found.get("strength"):
            against += f" ({STRENGTHS[name].format(strength)})"
        row = replace(_of_one_network(name, against, metric, found), passed=found["beaten"])
        if name == GRID_SENTINEL:
            row = replace(row, word=f"{'within' if row.passed else 'above'} the limit of {GRID_LIMIT:g}")
        rows.append(row)
    return rows


def second_opinions(results: SweepResults) -> list[Compared]:
    """Return the picked GAN's comparisons in the metric that decides nothing; empty if there are none."""
    return [
        _of_one_network(name, results.opponents[name], found["metric"], found)
        for name, found in results.second_opinion.items()
    ]


def _of_one_network(name: str, against: str, metric: str, found: Mapping[str, Any]) -> Compared:
    """Return a comparison by the images of one network, which decides nothing."""
    difference, low, high = found["interval"]
    word = BETTER if found["beaten"] else WORSE if is_worse(found["interval"], metric) else NOT_SEPARABLE
    return Compared(name, against, metric, difference or 0.0, format_limits(low, high), word, passed=None)


def compared_with_references(results: SweepResults) -> list[Compared]:
    """Return the comparisons with bicubic and the warm starts in both metrics, over seeds and images."""
    names, found = {"bicubic": "bicubic", "warm": results.warm_name}, []
    seeds = len(results.pick.tests) if results.pick else 0
    for metric in (results.perceptual, results.distortion):
        for name, verdict in against_references(results, metric).items():
            limits, word = verdict.interval, WORDS.get(verdict.word, verdict.word)
            if limits and limits.excludes_zero and word == NOT_SEPARABLE and limits.n < SEEDS_TO_BEAT:
                is_better = (limits.high < 0) == _is_less_better(metric)
                word = f"{BETTER if is_better else WORSE}, {ESTIMATE}"
            interval = format_limits(limits.low, limits.high) if limits else ""
            word = too_few(seeds) if word == NOT_ENOUGH else word
            word += f" ({_undecided(verdict, metric, len(names))})" if word == NOT_SEPARABLE else ""
            found.append(Compared(name, names[name], metric, verdict.estimate, interval, word))
    return found


def too_few(seeds: int) -> str:
    """Return what a comparison of so many seeds lacks for a verdict."""
    return f"too few {'seeds' if seeds < SEEDS_TO_BEAT else 'images'} for a verdict"


def comparisons_tables(results: SweepResults) -> str:
    """Return a table of one network, to ship, and one of the means over seeds; empty before the test stage.

    One table of both had differences that are not those of the means shown beside it.
    """
    pick, tested = results.pick, results.tested_pick
    if pick is None or tested is None:
        return ""
    images, tables = count(len(tested.get("keys", ())), "test image"), ""
    if rows := [*compared_to_ship(results), *second_opinions(results)]:
        which = "The network that ships"
        if results.sweep.get("unbeaten"):
            which = "The best GAN, which does not ship"
        marks = {True: "passed", False: "failed", None: "decides nothing"}
        body = [(c.against, c.word, marks[c.passed], *_difference(c)) for c in rows]
        head = ["compared with", "this network is", "to ship", *DIFFERENCE]
        caption = f"{which}: seed {tested['seed']} of {pick.name}, on {images}"
        tables += stacked_table(head, body, caption)
    if rows := compared_with_references(results):
        seeds = len(pick.tests)
        better = [f"{results.seeds_better(pick, c.name, c.metric)} of {seeds}" for c in rows]
        body = [(c.against, c.word, n, *_difference(c)) for c, n in zip(rows, better, strict=True)]
        head = ["compared with", "verdict", "better seeds", *DIFFERENCE]
        caption = f"Mean over {count(seeds, 'seed')} of {pick.name}, on {images}"
        tables += stacked_table(head, body, caption)
    how = "Difference: its value minus the other's"
    how += (", with the 95 % interval in brackets" if "[" in tables else "") + "."
    if any(c.name == "warm" for c in rows) and not results.sweep.get("start"):
        how += " Warm start: the PSNR network that the GAN phase began with."
    return f'{tables}<p class="small">{escape(how)}</p>' if tables else ""


def _difference(row: Compared) -> tuple[str, str]:
    """Return the cells of DIFFERENCE: a metric with its better side, and the difference with its unit."""
    numbers = (short_number(row.difference, sign="+"), row.interval, shown_unit(row.metric))
    better = "lower" if _is_less_better(row.metric) else "higher"
    return f"{row.metric}, {better} is better", " ".join(filter(None, numbers))


def _is_less_better(metric: str) -> bool:
    return METRICS[metric].direction == "min"


def format_limits(low: float | None, high: float | None) -> str:
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


def _format_verdict(verdict: Verdict, metric: str, seeds: int, arms: int) -> str:
    estimate, limits = short_number(verdict.estimate, sign="+"), verdict.interval
    if verdict.word == NOT_ENOUGH:
        return f"{too_few(seeds)} ({estimate})"
    numbers = estimate + (f" {format_limits(limits.low, limits.high)}" if limits else "")
    more = f": {_undecided(verdict, metric, arms)}" if verdict.word == NOT_SEPARABLE else ""
    return f"{verdict.word} ({numbers}{more})"


def _undecided(verdict: Verdict, metric: str, arms: int) -> str:
    """Return how far apart two designs can be, and why that is no difference, of `arms` that are compared."""
    assert verdict.interval is not None, "there is none only without enough evidence"
    low, high, seeds = verdict.interval.low, verdict.interval.high, verdict.interval.n
    if seeds < SEEDS_TO_BEAT:
        why = f"fewer than {SEEDS_TO_BEAT} seeds decide nothing"
    elif verdict.interval.excludes_zero:
        why = f"no clear difference among {arms} comparisons"
    else:
        why = f"{_in_unit(metric, seen_with_power(verdict, arms))} would be seen with power {POWER:g}"
    return f"at most {_in_unit(metric, max(abs(low), abs(high)))} apart, at 95 %; {why}"


def _in_unit(metric: str, value: float) -> str:
    return f"{short_number(value)} {shown_unit(metric)}".rstrip()
