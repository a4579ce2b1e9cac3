"""The result of a sweep: confirmed designs, their Pareto front, and the pick."""

from collections.abc import Mapping
from typing import Any

from orchestrator.analysis import selection
from orchestrator.results import row as row_module
from orchestrator.results.row import Row
from orchestrator.sweep.pick_floor import distortion_floor
from orchestrator.sweep.plan import SweepPlan
from orchestrator.sweep.stages import Sweep
from trainers import objectives as objectives_module


def sweep_result(rows: list[Row], sweep: Sweep, prepared: SweepPlan) -> dict[str, Any]:
    """Front and pick over the confirmed designs' seed means on val; their test numbers beside them."""
    designs = designs_of(rows)
    objectives = sweep.objectives
    points = [objectives.point(d["val"]) for d in designs]
    bicubic = sweep.bicubic[objectives.distortion]
    floor, set_by = distortion_floor(prepared.request, bicubic, sweep.val_evaluator)
    chosen, reason = selection.pick(points, floor) if designs else (None, "no design was confirmed")
    front = [designs[i] for i in objectives_module.front(points)]
    return {
        "designs": designs,
        "front": [t for d in front for t in d["trial_ids"]],
        "front_designs": [d["design"] for d in front],
        "pick": _best_seed(designs[chosen], rows, sweep, floor) if chosen is not None else None,
        "pick_design": designs[chosen]["design"] if chosen is not None else None,
        "pick_reason": f"{reason}, {set_by}" if set_by != "bicubic" and designs else reason,
        "pick_floor": {"value": floor, "set_by": set_by},
        "bicubic": {
            "val": sweep.bicubic,
            "test": next(
                (
                    {m: r["metrics"][f"bicubic/{m}"] for m in prepared.request.metrics}
                    for r in rows
                    if r["stage"] == "test"
                ),
                {},
            ),
        },
        "counts": {s: sum(r["stage"] == s for r in rows) for s in ("warm", "screen", "confirm", "test")}
        | {
            "screened_out": sum(r["rung"] is not None for r in rows),
            "diverged": sum(r["diverged"] for r in rows),
        },
        "budget_reached": sweep.enough,
        "failures": sorted({r["verdict"] for r in rows if r["verdict"].startswith("failed")}),
        **{k: sum(r[k] for r in rows) for k in ("gpu_hours", "cpu_hours", "cost")},
    }


def designs_of(rows: list[Row]) -> list[dict[str, Any]]:
    """One entry per confirmed design: its trials, seed-mean val and test metrics."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["stage"] != "confirm" or not row["finished"]:
            continue
        entry = found.setdefault(row_module.design_key(row), {"design": row["design"], "rows": []})
        entry["rows"].append(row)
    tests = {r["of"]: r for r in rows if r["stage"] == "test"}
    designs = []
    for entry in found.values():
        ids = [r["trial_id"] for r in entry["rows"]]
        tested = [tests[i] for i in ids if i in tests]
        designs.append(
            {
                "design": entry["design"],
                "trial_ids": ids,
                "val": selection.mean_metrics(entry["rows"]),
                "test": selection.mean_metrics(tested) if tested else {},
            }
        )
    return designs


def _best_seed(design: Mapping[str, Any], rows: list[Row], sweep: Sweep, floor: float) -> str:
    """Of the picked design's networks, the one that val likes best: that file is what ships."""
    own = [r for r in rows if r["trial_id"] in design["trial_ids"]]
    best = min(
        own, key=lambda r: objectives_module.order_feasible_first(sweep.objectives.point(r["metrics"]), floor)
    )
    return best["trial_id"]
