"""The result of a sweep: confirmed designs, their Pareto front, and the pick."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.results.leaderboard import group_by_design, mean_metrics
from orchestrator.results.row import Row
from orchestrator.results.sentinels import contradiction, in_words, is_worse
from orchestrator.sweep.context import SweepContext
from orchestrator.tracking.run_key import run_key
from orchestrator.tracking.sweep_record import SweepRecord
from trainers.objectives import CONSISTENCY, GRID, MIN_CONSISTENCY_DB, Objectives, front

STAGES = ("warm", "screen", "repeat", "confirm", "test")


def sweep_result(rows: list[Row], context: SweepContext) -> dict[str, Any]:
    """Return the entries of sweep.json that a finished sweep adds.

    Front and pick are over the confirmed designs' means over seeds on val; test metrics stand beside them.
    """
    objectives, designs = context.objectives, confirmed_designs(rows)
    points = [objectives.point(d["val"]) for d in designs]
    best, reason = pick(designs, objectives, context.request.opponent)
    on_front = [designs[i] for i in front(points)]
    return {
        "designs": designs,
        "front": [trial_id for d in on_front for trial_id in d["trial_ids"]],
        "front_designs": [d["design"] for d in on_front],
        **shipped(best, reason, rows, objectives),
        "bicubic": {"val": context.bicubic, "test": _bicubic_on_test(rows, context.request.metrics)},
        "counts": _counts(rows),
        "budget_reached": context.budget.reached,
        "failures": sorted({r["verdict"] for r in rows if r["verdict"].startswith("failed")}),
        "gpu_hours": sum(r["gpu_hours"] for r in rows),
        "cpu_hours": sum(r["cpu_hours"] for r in rows),
        "cost": sum(r["cost"] for r in rows),
    }


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
                "val": mean_metrics(group),
                "test": mean_metrics(tested) if tested else {},
            }
        )
    return designs


def pick(
    designs: Sequence[dict[str, Any]], objectives: Objectives, opponent: str = "its warm start"
) -> tuple[dict[str, Any] | None, str]:
    """Return the design to ship, the best perception among feasible ones, and the reason as text.

    A design is feasible by its means over seeds on val (Objectives.floor). None if none is. `opponent` names
    the network whose distortion sets the floor.
    """
    if not designs:
        return None, "no design was confirmed"
    ranked = sorted(designs, key=lambda d: objectives.order(d["val"], d["val"], "warm/"))
    feasible = [d for d in ranked if not objectives.order(d["val"], d["val"], "warm/")[0]]
    rule = f"at most {objectives.delta_db:g} dB below {opponent}"
    if CONSISTENCY in ranked[0]["val"]:
        rule += f", LR consistency of {MIN_CONSISTENCY_DB:g} dB or more"
    if GRID in ranked[0]["val"]:
        rule += ", no pattern of the upsampling grid"
    if math.isfinite(objectives.least):
        rule += f", {objectives.distortion} no worse than {abs(objectives.least):.2f}, the floor of champions"
    if not feasible:
        return None, f"no confirmed design is feasible: {rule}"
    return feasible[0], f"best {objectives.perceptual} among {len(feasible)} feasible designs: {rule}"


def shipped(
    best: Mapping[str, Any] | None, reason: str, rows: list[Row], objectives: Objectives
) -> dict[str, Any]:
    """Return the network that ships, and the GAN that was picked, with what it is not better than on test.

    The pick ships if its network is better than every sentinel by an interval over test images without 0.
    Otherwise the best PSNR network ships: the largest distortion metric on val. A sweep that trained none
    (from a file, or without a PSNR phase) then ships nothing. Where the second opinion contradicts a GAN that
    ships, the reason says so.
    """
    gan = best and _best_seed(best, rows, objectives)
    tested = next((r for r in rows if r["stage"] == "test" and r["of"] == gan), None)
    sentinels = (tested or {}).get("sentinels", {})
    unbeaten = [name for name, s in sentinels.items() if not s["beaten"]]
    compared = {name: sentinels[name]["interval"] for name in unbeaten if name != "grid"}
    worse = [name for name, interval in compared.items() if is_worse(interval, objectives.perceptual)]
    facts = {"gan_pick": gan, "unbeaten": unbeaten}
    networks = [r for r in rows if r["stage"] == "test" and "val" in r]
    if best and unbeaten:
        reason = f"{best['design']} {in_words(unbeaten, worse)}"
    if networks and (gan is None or unbeaten):
        network = max(networks, key=lambda r: objectives.point(r["val"])[0])
        told = f"{reason}; so the PSNR network that is best on val ships"
        names = {"pick": network["trial_id"], "pick_design": network["design"], "pick_reason": told}
        return facts | names | {"pick_test": network["metrics"]}
    if unbeaten:
        told = f"{reason}; so nothing ships, as the sweep trained no PSNR network"
        return facts | {"pick": None, "pick_design": None, "pick_reason": told}
    if against := contradiction((tested or {}).get("second_opinion", {})):
        reason = f"{reason}; but {against}"
    return facts | {"pick": gan, "pick_design": best and best["design"], "pick_reason": reason}


def _best_seed(design: Mapping[str, Any], rows: list[Row], objectives: Objectives) -> str:
    """Return the trial of the picked design whose network is best on val: that network ships."""
    own = [r for r in rows if r["trial_id"] in design["trial_ids"]]
    return min(own, key=lambda r: objectives.order(r["metrics"], r["metrics"], "warm/"))["trial_id"]


def _bicubic_on_test(rows: list[Row], metrics: tuple[str, ...]) -> dict[str, float]:
    tested = next((r["metrics"] for r in rows if r["stage"] == "test"), None)
    return {m: tested[f"bicubic/{m}"] for m in metrics if f"bicubic/{m}" in tested} if tested else {}


def _counts(rows: list[Row]) -> dict[str, int]:
    counts = {stage: sum(r["stage"] == stage for r in rows) for stage in STAGES}
    counts["screened_out"] = sum(r["rung"] is not None for r in rows)
    counts["diverged"] = sum(r["diverged"] for r in rows)
    return counts


def pick_metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of what ships: of a PSNR network on test, else the means of the picked design.

    Those are over its seeds, on test if that was opened, else on val.
    """
    if "pick_test" in facts:
        return {name: value for name, value in facts["pick_test"].items() if "/" not in name}
    designs = facts.get("designs", ())  # absent in sweeps of earlier versions
    design = next((d for d in designs if facts["pick"] in d["trial_ids"]), None)
    values = (design["test"] or design["val"]) if design else {}
    return {name: value for name, value in values.items() if "/" not in name}


def add_run_ids(record: SweepRecord, rows: list[Row], facts: dict[str, Any]) -> None:
    """Enter the ids of MLflow's runs, as far as they are known; an id that was entered before stays."""
    run_ids = record.writer.run_ids()
    for row in rows:
        of = row["of"] if row["stage"] == "test" else ""  # its run is that of the network that was measured
        stage, trial_id = (of.partition("-")[0], of) if of else (row["stage"], row["trial_id"])
        row["mlflow_run_id"] = run_ids.get(run_key(record.sweep, stage, trial_id)) or row.get("mlflow_run_id")
    facts["experiment_id"] = record.writer.experiment_id() or facts.get("experiment_id")
    if record.page:  # absent in sweeps of earlier versions, whose experiments have no view
        facts["experiment_page"] = record.page
    facts["parent_run_id"] = run_ids.get(facts["name"]) or facts.get("parent_run_id")
