"""Comparisons with intervals, paired by seed: the pick against other designs and against its references."""

from datasets.text import short_number
from orchestrator.analysis.intervals import Comparison, hierarchical_bootstrap, welch_difference
from orchestrator.analysis.significance import NOT_ENOUGH, Verdict, between_designs
from orchestrator.report.data import SweepResults
from orchestrator.results.row import Row
from trainers.metrics import METRICS


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


def compare_with_references(results: SweepResults) -> str:
    """Return a sentence with the verdicts against bicubic and warm starts; empty before the test stage."""
    words = {"bicubic": "bicubic", "warm": results.warm_name}
    parts = [
        f"{metric} against {words[name]}: {_format_verdict(verdict)}"
        for metric in (results.perceptual, results.distortion)
        for name, verdict in against_references(results, metric).items()
    ]
    return f"On test, over seeds and images: {'; '.join(parts)}." if parts else ""


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
    limits, interval = verdict.interval, ""
    if limits:
        low, high = (short_number(end, sign="+") for end in (limits.low, limits.high))
        interval = f" [{low}, {high}]"
    return f"{verdict.word} ({estimate}{interval})"
