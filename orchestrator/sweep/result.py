"""The result of a sweep: confirmed designs, their Pareto front, and the pick."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from orchestrator.analysis import selection
from orchestrator.results.leaderboard import group_by_design
from orchestrator.results.row import Row
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.held_out import evaluate_on_val
from orchestrator.sweep.pick_floor import distortion_floor
from trainers.objectives import Objectives, front, order_feasible_first

STAGES = ("warm", "screen", "confirm", "test")


def sweep_result(rows: list[Row], context: SweepContext) -> dict[str, Any]:
    """Return the entries of sweep.json that a finished sweep adds.

    Front and pick are over the confirmed designs' means over seeds on val; test metrics stand beside them.
    """
    objectives, designs = context.objectives, confirmed_designs(rows)
    points = [objectives.point(d["val"]) for d in designs]
    bicubic = context.bicubic[objectives.distortion]
    floor, set_by = distortion_floor(context.request, bicubic, partial(_measure_on_val, context))
    chosen, reason = selection.pick(points, floor) if designs else (None, "no design was confirmed")
    best = None if chosen is None else designs[chosen]
    on_front = [designs[i] for i in front(points)]
    return {
        "designs": designs,
        "front": [trial_id for d in on_front for trial_id in d["trial_ids"]],
        "front_designs": [d["design"] for d in on_front],
        "pick": best and _best_seed(best, rows, objectives, floor),
        "pick_design": best and best["design"],
        "pick_reason": f"{reason}, {set_by}" if set_by != "bicubic" and designs else reason,
        "pick_floor": {"value": floor, "set_by": set_by},
        "bicubic": {"val": context.bicubic, "test": _bicubic_on_test(rows, context.request.metrics)},
        "counts": _counts(rows),
        "budget_reached": context.budget.reached,
        "failures": sorted({r["verdict"] for r in rows if r["verdict"].startswith("failed")}),
        "gpu_hours": sum(r["gpu_hours"] for r in rows),
        "cpu_hours": sum(r["cpu_hours"] for r in rows),
        "cost": sum(r["cost"] for r in rows),
    }


def _measure_on_val(context: SweepContext, network: nn.Module) -> dict[str, float]:
    return evaluate_on_val(network, context.request, context.plan.digests["val"], context.capacity)


def confirmed_designs(rows: list[Row]) -> list[dict[str, Any]]:
    """Return one entry per confirmed design: its trials, and means over seeds on val and test."""
    confirmed = [r for r in rows if r["stage"] == "confirm" and r["finished"]]
    tests = {r["of"]: r for r in rows if r["stage"] == "test"}
    designs = []
    for group in group_by_design(confirmed).values():
        ids = [r["trial_id"] for r in group]
        tested = [tests[i] for i in ids if i in tests]
        designs.append(
            {
                "design": group[0]["design"],
                "trial_ids": ids,
                "val": selection.mean_metrics(group),
                "test": selection.mean_metrics(tested) if tested else {},
            }
        )
    return designs


def _best_seed(design: Mapping[str, Any], rows: list[Row], objectives: Objectives, floor: float) -> str:
    """Return the trial of the picked design whose network is best on val: that network ships."""
    own = [r for r in rows if r["trial_id"] in design["trial_ids"]]
    return min(own, key=lambda r: order_feasible_first(objectives.point(r["metrics"]), floor))["trial_id"]


def _bicubic_on_test(rows: list[Row], metrics: tuple[str, ...]) -> dict[str, float]:
    tested = next((r["metrics"] for r in rows if r["stage"] == "test"), None)
    return {m: tested[f"bicubic/{m}"] for m in metrics} if tested else {}


def _counts(rows: list[Row]) -> dict[str, int]:
    counts = {stage: sum(r["stage"] == stage for r in rows) for stage in STAGES}
    counts["screened_out"] = sum(r["rung"] is not None for r in rows)
    counts["diverged"] = sum(r["diverged"] for r in rows)
    return counts
