"""Choices among rows: the best checkpoint of a trial, the best designs, rows grouped by design."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.results.row import Row, design_key
from trainers.objectives import Objectives

RANKED_STAGES = ("screen", "repeat")


def use_best_checkpoint(row: Row, objectives: Objectives) -> Row:
    """Return a confirmed row with the metrics of its best kept checkpoint.

    Feasible ones (Objectives.floor) come first, then perception decides. The last checkpoint's metrics are
    kept under `last`; remarks of the verdict are about the last one, so it names the one that counts.
    """
    candidates = row["candidates"]
    if not candidates:
        return row
    metrics = row["metrics"]
    best = min(candidates, key=lambda c: (*objectives.order(c, metrics, "warm/"), -c["step"]))
    verdict = row["verdict"]
    if best["step"] != candidates[-1]["step"]:
        verdict += f"; {counts_at(best['step'])}"
    return {
        **row,
        "verdict": verdict,
        "metrics": metrics | {k: v for k, v in best.items() if k not in ("step", "checkpoint")},
        "checkpoint": best["checkpoint"],
        "chosen_step": best["step"],
        "last": {k: v for k, v in candidates[-1].items() if k != "checkpoint"},
    }


def counts_at(step: int | None) -> str:
    """Return the remark that a checkpoint other than the last one counts."""
    return f"its checkpoint at step {step} counts"


def best_designs(rows: Sequence[Row], objectives: Objectives, count: int) -> list[Row]:
    """Return a row of each of the `count` best designs, best first, by the criterion of the pick.

    A design is worth the mean of its runs: screened, and repeated under other seeds. Runs that were stopped
    early count only where no run of the design got further, and such designs come last.
    """
    ranked = []
    runs = [r for r in rows if r["stage"] in RANKED_STAGES and r["steps"] and not r["diverged"]]
    for place, group in enumerate(group_by_design(runs).values()):
        steps = max(r["steps"] for r in group)
        furthest = [r for r in group if r["steps"] == steps]
        metrics = mean_metrics(furthest)
        ranked.append((-steps, *objectives.order(metrics, metrics, "warm/"), place, furthest[0]))
    return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])[:count]]


def group_by_design(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return design key -> rows of that design, in order of appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(design_key(row), []).append(row)
    return groups


def mean_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the means over the seeds of one design, for the metrics that all its rows have."""
    shared = set.intersection(*(set(r["metrics"]) for r in rows))
    return {m: sum(r["metrics"][m] for r in rows) / len(rows) for m in sorted(shared)}
