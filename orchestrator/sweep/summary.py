"""What a sweep prints when it ends or is stopped: the front, the pick, and the next commands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.console import format_duration
from orchestrator.storage import Storage
from orchestrator.sweep.request import Request

FEW = 3
"""Reasons that are printed; hundreds of trials can fail in hundreds of ways."""


def _where(storage: Storage) -> str:
    return "" if storage.root == str(Path("runs").resolve()) else f" --storage {storage.root}"


def resume_command(request: Request) -> str:
    """What goes on with a stopped sweep."""
    return f"python experiments/sweep.py --resume {request.name}{_where(Storage(request.storage))}"


def _budget(facts: Mapping[str, Any]) -> list[str]:
    reached, screened = facts["budget_reached"], facts["counts"]["screen"]
    return [f"{reached} were reached after {screened} designs; no more were drawn"] * bool(reached)


def _failures(facts: Mapping[str, Any]) -> list[str]:
    lines = [f"trials {verdict}" for verdict in facts["failures"][:FEW]]
    more = len(facts["failures"]) - FEW
    if more > 0:
        lines.append(f"and {more} other reasons why trials failed; report.html names each")
    if facts["counts"]["diverged"]:
        lines.append(f"{facts['counts']['diverged']} trials diverged; report.html names step and term")
    return lines


def _cost(facts: Mapping[str, Any]) -> str:
    return f" (cost {facts['cost']:.2f})" if facts["cost"] else ""


def format_summary(facts: Mapping[str, Any], request: Request) -> list[str]:
    """What a finished sweep prints: the front, the pick, and what to do next."""
    o = request.config.objective
    lines = ["", f"confirmed designs, mean over seeds on test ({facts['data']['test']['n']} images):"]
    bicubic = facts["bicubic"]["test"]
    if bicubic:
        lines.append(
            f"  {'bicubic':<44} {bicubic[o.distortion]:7.2f} dB  {o.perceptual} {bicubic[o.perceptual]:8.4g}"
        )
    for d in facts["designs"]:
        on_front = set(d["trial_ids"]) & set(facts["front"])
        mark = "*" if facts["pick"] in d["trial_ids"] else "-" if on_front else " "
        share = d["val"].get("gradient_share/adversarial")
        more = f", adversarial gradient share {share:.0%}" if share is not None else ""
        lines.append(
            f"{mark} {d['design']:<44} {d['test'][o.distortion]:7.2f} dB  {o.perceptual} "
            f"{d['test'][o.perceptual]:8.4g} (its warm start {d['test'][f'warm/{o.perceptual}']:.4g}{more})"
        )
    storage = Storage(request.storage)
    root, where = storage.root, _where(storage)
    lines += [
        "  * the pick, - also on the front",
        f"pick: {facts['pick_design'] or 'none'} ({facts['pick_reason']})",
        f"took {format_duration(facts['ended'] - facts['started'])}, {facts['cpu_hours']:.2f} CPU-hours, "
        f"{facts['gpu_hours']:.2f} GPU-hours{_cost(facts)}; {facts['counts']['screened_out']} of "
        f"{facts['counts']['screen']} trials stopped early",
        *_budget(facts),
        *_failures(facts),
        f"report:  {root}/{facts['name']}/report.html",
        f"MLflow:  make ui   (or: mlflow ui --backend-store-uri {facts['tracking_uri']})",
        f"promote: python experiments/promote.py {facts['name']}{where}",
    ]
    return lines
