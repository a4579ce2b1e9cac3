"""Rows of a sweep: what each trial was, measured, cost, and what became of it in words."""

import json
from collections.abc import Iterable, Sequence

from orchestrator.analysis import selection
from orchestrator.results.row import Row, design_key
from orchestrator.storage import Storage
from trainers.objectives import Objectives, order_feasible_first


def use_best_checkpoint(row: Row, objectives: Objectives) -> Row:
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


def to_confirm(rows: Sequence[Row], objectives: Objectives, count: int) -> list[Row]:
    """The screened rows worth confirming: of full budget first, then of the trials that got furthest."""
    screened = _one_per_design(
        [r for r in rows if r["stage"] == "screen" and r["steps"] and not r["diverged"]]
    )
    chosen: list[Row] = []
    for steps in sorted({r["steps"] for r in screened}, reverse=True):
        tier = [r for r in screened if r["steps"] == steps]
        points = [objectives.point(r["metrics"]) for r in tier]
        floors = [r["metrics"][f"warm/{objectives.distortion}"] - objectives.delta_db for r in tier]
        reference = objectives.reference(tier[0]["metrics"])
        picked = selection.to_confirm(points, floors, reference, count - len(chosen))
        chosen += [tier[i] for i in picked]
    return chosen


def group_by_design(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return design key -> rows of that design, in order of appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(design_key(row), []).append(row)
    return groups


def _one_per_design(rows: Sequence[Row]) -> list[Row]:
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
