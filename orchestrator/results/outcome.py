"""The outcome of a trial in words: finished, stopped, diverged, failed, and remarks on how it ran."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trainers.objectives import Objectives

LOADER_BOUND = 0.2  # share of a trial's time spent waiting for data
STILL_IMPROVING = 0.1  # share of the whole gain that came in the last quarter


def describe_outcome(
    stage: str, result: Mapping[str, Any], stopped_at: int | None, error: str, remarks: Sequence[str] = ()
) -> str:
    """What became of a trial, in words; `remarks` on how it ran stand behind a semicolon."""
    return "; ".join([_ending(stage, result, stopped_at, error), *remarks])


def remarks(
    result: Mapping[str, Any],
    curve: Sequence[Mapping[str, Any]],
    objectives: Objectives,
    bicubic: Mapping[str, float],
) -> list[str]:
    """What a reader should know about how a trial ran: collapsed, undertrained, loader-bound.

    `curve` holds one entry per evaluation: phase, step and the metrics at that step.
    """
    found = []
    points = [objectives.point(c) for c in curve if c["phase"] == "gan"]
    if points and not result.get("diverged"):
        start, last = points[0], points[-1]
        if last[1] < start[1] and last[0] < min(start[0], objectives.point(bicubic)[0]):
            found.append("collapsed: worse than its warm start in both objectives, and than bicubic")
        elif result.get("complete") and _still_improving([p[1] for p in points]):
            found.append("undertrained: still improving at the end")
    wait = result.get("data_wait_share", 0.0)
    if wait > LOADER_BOUND:
        found.append(f"loader-bound: {wait:.0%} of its time it waited for data")
    return found


def _still_improving(values: Sequence[float]) -> bool:
    """Whether the last quarter of a curve (larger is better) gained a tenth or more of the whole gain."""
    if len(values) < 8:
        return False
    quarter = len(values) // 4
    late, before = values[-quarter:], values[-2 * quarter : -quarter]
    gain = statistics.median(late) - statistics.median(before)
    return gain > 0 and gain >= STILL_IMPROVING * (max(values) - values[0])


def _ending(stage: str, result: Mapping[str, Any], stopped_at: int | None, error: str) -> str:
    if error or result.get("failed"):
        return f"failed: {error or result['failed']}"
    if result.get("diverged"):
        return f"diverged: {result['diverged_term']} at step {result['diverged_step']}"
    if stopped_at is not None:
        return f"screened out at step {stopped_at} of {result['max_steps']}"
    if not result.get("complete"):
        return "unfinished"
    if result["step"] < result["max_steps"]:  # a part of what population based training does
        return f"trained to step {result['step']} of {result['max_steps']}"
    return {"warm": "warm start trained", "screen": "screened to the end"}.get(stage, "confirmed")
