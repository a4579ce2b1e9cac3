"""The outcome of a trial in words: finished, stopped, diverged, failed, and remarks on how it ran."""

import statistics
from collections.abc import Mapping, Sequence

from orchestrator.results.trial_report import Curve, Status, TrialReport
from trainers.objectives import Objectives
from trainers.state import RUNG_WINDOW

LOADER_BOUND = 0.2  # share of a trial's time spent waiting for data
WHOLE = {
    "warm": "PSNR phase trained",
    "screen": "screened to the end",
    "repeat": "repeated",
    "confirm": "confirmed",
}
"""Stage -> the outcome of a trial that ran to its end."""
STILL_IMPROVING = 0.1  # share of the whole gain that came in the last quarter


def describe_outcome(
    stage: str, report: TrialReport, stopped_at: int | None, error: str, remarks: Sequence[str] = ()
) -> str:
    """Return the outcome of a trial, followed by `remarks` after semicolons."""
    return "; ".join([_ending(stage, report, stopped_at, error), *remarks])


def remarks(
    report: TrialReport, curve: Curve, objectives: Objectives, bicubic: Mapping[str, float]
) -> list[str]:
    """Return what a reader should know about how a trial ran: collapsed, undertrained, loader-bound.

    `curve` holds one entry per evaluation: phase, step and the metrics at that step.
    """
    notes = []
    points = [objectives.point(c) for c in curve if c["phase"] == report.phase]
    if points and report.warm_start and report.status is not Status.DIVERGED:
        start, last = objectives.point(report.warm_start), points[-1]
        if last[1] < start[1] and last[0] < min(start[0], objectives.point(bicubic)[0]):
            notes.append("collapsed: worse than its warm start in both objectives, and than bicubic")
        elif report.status is Status.COMPLETE and _still_improving([p[1] for p in points]):
            notes.append(f"undertrained: {objectives.perceptual} still improving at the end")
    wait = report.diagnostics.get("data_wait_share", 0.0)
    if wait > LOADER_BOUND:
        notes.append(f"loader-bound: {wait:.0%} of its time it waited for data")
    return notes


def reached_at(report: TrialReport, curve: Curve, metrics: Sequence[str]) -> int:
    """Return the step at which a trial reached what it is ranked by, a median of the evaluations up to there.

    The last step if no such median is found, as in the PSNR phase or of a trial without evaluations.
    """
    own = [c for c in curve if c["phase"] == report.phase]
    for count in range(1, len(own) + 1):
        window = own[max(0, count - RUNG_WINDOW) : count]
        if all(statistics.median(c[m] for c in window) == report.ranked.get(m) for m in metrics):
            return int(own[count - 1]["step"])
    return report.step


def _still_improving(values: Sequence[float]) -> bool:
    """Return True if the last quarter of a curve (larger is better) has its best and a tenth of its gain."""
    if len(values) < 8:
        return False
    quarter = len(values) // 4
    if max(values) > max(values[-quarter:]):  # it was better before
        return False
    late, before = values[-quarter:], values[-2 * quarter : -quarter]
    gain = statistics.median(late) - statistics.median(before)
    return gain > 0 and gain >= STILL_IMPROVING * (max(values) - values[0])


def _ending(stage: str, report: TrialReport, stopped_at: int | None, error: str) -> str:
    if error or report.status is Status.FAILED:
        return f"failed: {error or report.reason}"
    if report.status is Status.DIVERGED:
        return f"diverged: {report.diverged_term} at step {report.step}"
    if stopped_at is not None:
        return f"screened out at step {stopped_at} of {report.max_steps}"
    if report.status is not Status.COMPLETE:
        return "unfinished"
    if report.step < report.max_steps:  # a segment of population based training
        return f"trained to step {report.step} of {report.max_steps}"
    return WHOLE[stage]
