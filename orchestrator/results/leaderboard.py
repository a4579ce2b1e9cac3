"""Choices among rows: the best checkpoint of a trial, the designs to confirm, rows grouped by design."""

from collections.abc import Iterable, Sequence

from orchestrator.analysis import selection
from orchestrator.results.row import Row, design_key
from trainers.objectives import Objectives, order_feasible_first


def use_best_checkpoint(row: Row, objectives: Objectives) -> Row:
    """Return a confirmed row with the metrics of its best kept checkpoint.

    The order is feasible first (within delta of its own warm start), then perception. The last checkpoint's
    metrics are kept under `last`.
    """
    candidates = row["candidates"]
    if not candidates:
        return row
    floor = objectives.floor(row["metrics"], "warm/")
    best = min(candidates, key=lambda c: (*order_feasible_first(objectives.point(c), floor), -c["step"]))
    return {
        **row,
        "metrics": row["metrics"] | {k: v for k, v in best.items() if k not in ("step", "checkpoint")},
        "checkpoint": best["checkpoint"],
        "chosen_step": best["step"],
        "last": {k: v for k, v in candidates[-1].items() if k != "checkpoint"},
    }


def to_confirm(rows: Sequence[Row], objectives: Objectives, count: int) -> list[Row]:
    """Return the screened rows to confirm: of full budget first, then of the trials that got furthest."""
    screened = [r for r in rows if r["stage"] == "screen" and r["steps"] and not r["diverged"]]
    # a sampler may draw a design twice; the row that got furthest stands for it
    furthest = [max(group, key=lambda r: r["steps"]) for group in group_by_design(screened).values()]
    chosen: list[Row] = []
    for steps in sorted({r["steps"] for r in furthest}, reverse=True):
        tier = [r for r in furthest if r["steps"] == steps]
        points = [objectives.point(r["metrics"]) for r in tier]
        floors = [objectives.floor(r["metrics"], "warm/") for r in tier]
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
