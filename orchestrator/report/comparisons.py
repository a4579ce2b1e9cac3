"""Comparisons with intervals: the pick against other designs, and image by image against its references."""

import numpy as np

from orchestrator.analysis.intervals import hierarchical_bootstrap, paired_bootstrap
from orchestrator.analysis.significance import NOT_ENOUGH, Verdict, between_checkpoints, between_designs
from orchestrator.report.data import Design, SweepResults
from trainers.metrics import METRICS


def compare_designs(results: SweepResults) -> tuple[str, dict[str, str]]:
    """Compare every other confirmed design with the pick on the test images.

    Returns the metric (the perceptual one if it has a value per image, else the distortion metric) and the
    verdict by design; ("", {}) if the test images were not opened.
    """
    pick = results.pick
    others = [d for d in results.designs if not d.is_pick and d.tests]
    if pick is None or not pick.tests or not others:
        return "", {}
    shared = set.intersection(*(set(row.get("per_image", {})) for d in [pick, *others] for row in d.tests))
    metric = next((m for m in (results.perceptual, results.distortion) if m in shared), "")
    if not metric:
        return "", {}
    comparisons = {d.name: hierarchical_bootstrap(_images(d, metric), _images(pick, metric)) for d in others}
    verdicts = between_designs(comparisons, METRICS[metric].direction)
    return metric, {name: _format_verdict(verdict) for name, verdict in verdicts.items()}


def _images(design: Design, metric: str) -> list[list[float]]:
    return [row["per_image"][metric] for row in design.tests]


def compare_by_image(results: SweepResults) -> str:
    """Compare the pick with bicubic and its warm starts on each test image, mean over seeds.

    Returns a sentence with intervals; empty if no objective has a value per image.
    """
    tests = results.pick.tests if results.pick else []
    parts = []
    for metric in (results.perceptual, results.distortion):
        for key, reference in (("bicubic", "bicubic"), ("warm", "its warm start")):
            names = (metric, f"{key}/{metric}")
            if not tests or any(name not in r.get("per_image", {}) for r in tests for name in names):
                continue
            ours, theirs = (np.mean([r["per_image"][name] for r in tests], axis=0) for name in names)
            verdict = between_checkpoints(paired_bootstrap(ours, theirs), METRICS[metric].direction)
            parts.append(f"{metric} against {reference}: {_format_verdict(verdict)}")
    return f"By test image: {'; '.join(parts)}." if parts else ""


def _format_verdict(verdict: Verdict) -> str:
    if verdict.word == NOT_ENOUGH:
        return f"{NOT_ENOUGH} ({verdict.estimate:+.3g})"
    limits = verdict.interval
    interval = f" [{limits.low:+.3g}, {limits.high:+.3g}]" if limits else ""
    return f"{verdict.word} ({verdict.estimate:+.3g}{interval})"
