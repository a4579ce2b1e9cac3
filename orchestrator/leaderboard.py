"""Rows of a sweep: what each trial was, measured, cost, and what became of it in words."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import selection
from orchestrator.selection import Objectives, order_feasible_first
from orchestrator.space import USED, label
from orchestrator.storage import Storage
from trainers.config import digest

Row = dict[str, Any]
LOADER_BOUND = 0.2  # share of a trial's time spent waiting for data
STILL_IMPROVING = 0.1  # share of the whole gain that came in the last quarter


def metrics_of(result: Mapping[str, Any], measured: Sequence[str]) -> dict[str, float]:
    """The numbers of a result that belong into a row: measures, warm start's, shares."""
    names = [*measured, *(f"warm/{m}" for m in measured)]
    shares = [k for k in result if k.startswith(("gradient_share/", "data_wait_share", "d_accuracy"))]
    return {k: float(result[k]) for k in [*names, *shares] if k in result}


def verdict(
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


def design_key(row: Row) -> str:
    """The same for all seeds of one design, and for no other: labels may leave a setting out."""
    values = {k: v for k, v in row["values"].items() if k not in ("run.seed", "data.order_seed")}
    return digest(values | ({"course": row["course"]["parts"]} if row.get("course") else {}))


def spent(result: Mapping[str, Any], gpus: float, price: float) -> dict[str, float]:
    """gpu_hours, cpu_hours and cost of all attempts of a trial that holds `gpus` of a GPU."""
    gpu_hours = result.get("seconds", 0.0) / 3600 * gpus if result.get("device") == "cuda" else 0.0
    cpu_hours = float(result.get("cpu_seconds", 0.0)) / 3600
    return {"gpu_hours": gpu_hours, "cpu_hours": cpu_hours, "cost": gpu_hours * price}


def make_row(
    *,
    stage: str,
    trial_id: str,
    values: Mapping[str, Any],
    config: Mapping[str, Any],
    result: Mapping[str, Any],
    curve: Sequence[Mapping[str, Any]],
    measured: Sequence[str],
    bicubic: Mapping[str, float],
    protocol: Mapping[str, str],
    stopped_at: int | None,
    error: str,
    gpus: float,
    objectives: Objectives,
    price: float = 0.0,
) -> Row:
    """One row of leaderboard.json; `values` are the design's own settings, `config` all of them.

    `gpus` is the share of a GPU held, `price` that of an hour of a whole one. The result's times are those
    of all attempts of the trial.
    """
    distortion, perceptual = measured[0], measured[1]
    return {
        "trial_id": trial_id,
        "stage": stage,
        "design": label(values),
        "config": {k: v for k, v in config.items() if not k.endswith(USED)},
        "metrics": metrics_of(result, measured) | {f"bicubic/{m}": v for m, v in bicubic.items()},
        "protocol": dict(protocol),
        "verdict": verdict(stage, result, stopped_at, error, remarks(result, curve, objectives, bicubic)),
        "seed": config["run.seed"],
        **spent(result, gpus, price),
        "mlflow_run_id": None,
        "steps": int(result.get("step", 0)),
        "max_steps": int(result.get("max_steps", 0)),
        "rung": stopped_at,
        "curve": [
            [c["step"], c[distortion], c[perceptual]] for c in curve if c["phase"] == curve[-1]["phase"]
        ],
        "candidates": list(result.get("candidates", [])),
        "checkpoint": result.get("checkpoint"),
        "strip": None,
        "diverged": bool(result.get("diverged")),
        "finished": bool(result.get("complete")),
    }


def choose_candidate(row: Row, objectives: Objectives) -> Row:
    """A confirmed row whose metrics are those of its best evaluated checkpoint by the stated rule.

    Feasible first (within delta of its own warm start), then perception. What the last checkpoint would
    have been is kept under `last`.
    """
    candidates = row["candidates"]
    if not candidates:
        return row
    floor = row["metrics"][f"warm/{objectives.distortion}"] - objectives.delta_db
    best = min(candidates, key=lambda c: (*order_feasible_first(objectives.point(c), floor), -c["step"]))
    numbers = {k: v for k, v in best.items() if k not in ("step", "checkpoint")}
    return row | {
        "metrics": row["metrics"] | numbers,
        "checkpoint": best["checkpoint"],
        "chosen_step": best["step"],
        "last": {k: v for k, v in candidates[-1].items() if k != "checkpoint"},
    }


def tested(row: Row, evaluation: Mapping[str, Any], price: float) -> Row:
    """A confirmed row's twin of the test stage: what its checkpoint came to on images nothing had seen."""
    own = {k: evaluation[k] for k in ("protocol", "per_image", "keys", "gpu_hours", "cpu_hours")}
    return row | {
        "trial_id": row["trial_id"].replace("confirm", "test"),
        "stage": "test",
        "of": row["trial_id"],
        "metrics": evaluation["summary"],
        "verdict": "measured on test",
        "cost": evaluation["gpu_hours"] * price,
        "curve": [],
        "candidates": [],
        **own,
    }


def to_confirm(rows: Sequence[Row], objectives: Objectives, count: int) -> list[Row]:
    """The screened rows worth confirming: of full budget first, then of the trials that got furthest."""
    screened = _each_once([r for r in rows if r["stage"] == "screen" and r["steps"] and not r["diverged"]])
    chosen: list[Row] = []
    for steps in sorted({r["steps"] for r in screened}, reverse=True):
        tier = [r for r in screened if r["steps"] == steps]
        points = [objectives.point(r["metrics"]) for r in tier]
        floors = [r["metrics"][f"warm/{objectives.distortion}"] - objectives.delta_db for r in tier]
        reference = objectives.reference(tier[0]["metrics"])
        picked = selection.to_confirm(points, floors, reference, count - len(chosen))
        chosen += [tier[i] for i in picked]
    return chosen


def _each_once(rows: Sequence[Row]) -> list[Row]:
    """One row per design: the one that got furthest, where a sampler drew the same design again."""
    by_design: dict[str, Row] = {}
    for row in rows:
        held = by_design.setdefault(design_key(row), row)
        if row["steps"] > held["steps"]:
            by_design[design_key(row)] = row
    return list(by_design.values())


def write(storage: Storage, sweep: str, rows: Sequence[Row]) -> None:
    """STORAGE/NAME/leaderboard.json."""
    storage.write_text(f"{sweep}/leaderboard.json", json.dumps(list(rows), indent=1) + "\n")


def read(storage: Storage, sweep: str) -> list[Row]:
    """The rows of a sweep."""
    return json.loads(storage.read_text(f"{sweep}/leaderboard.json"))
