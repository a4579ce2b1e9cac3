"""From a request to an answer: prepare, connect, run the stages, pick, write what people read."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.cluster import capacity, connect, placement_groups
from orchestrator.console import ProgressLine
from orchestrator.report import build_report
from orchestrator.results import leaderboard
from orchestrator.results.row import Row
from orchestrator.results.sweep_folder import read_facts
from orchestrator.sweep.heartbeat import Heartbeat, ensure_not_running
from orchestrator.sweep.plan import SweepPlan, make_plan
from orchestrator.sweep.request import Request
from orchestrator.sweep.result import sweep_result
from orchestrator.sweep.stages import Interrupted, Sweep
from orchestrator.tracking.sweep_record import SweepRecord
from trainers.config import flatten
from trainers.device import describe_hardware


def run_sweep(request: Request, say: Any = print, resume: bool = False) -> dict[str, Any]:
    """The whole sweep; returns sweep.json's content. UserError before anything is spent or written."""
    connect.check_datasets_package()
    with ExitStack() as stack:
        if request.address is None:
            stack.enter_context(connect.local_lock(request.name))
        else:
            connect.reach(request.address)
        prepared = make_plan(request, resume)
        if resume:
            ensure_not_running(prepared.storage, request.name)
            check_same_images(prepared)
        place = stack.enter_context(connect.connect(request.address))
        _room(prepared.request, place)
        for line in [f"running on {place.description}", *prepared.describe()]:
            say(line)
        with Heartbeat(prepared.storage, request.name) as life:
            return _run(prepared, place, life, say, resume)


def _room(request: Request, place: capacity.Capacity) -> None:
    """UserError where a trial of several ranks can never start: it would wait for ever."""
    if request.gpus_per_trial > 1 and not place.gpus:
        raise UserError(
            f"--gpus-per-trial {request.gpus_per_trial:g} needs GPUs and there are none; --ranks-per-trial "
            f"{request.ranks} runs as many processes on CPU cores"
        )
    if request.ranks > 1 and (place.cpus < request.ranks or 0 < place.gpus < request.ranks):
        device = "GPU and a CPU core" if place.gpus else "CPU core"
        raise UserError(
            f"each of the {request.ranks} ranks needs a {device}, but there is {place.description}"
        )


def _run(
    prepared: SweepPlan, place: capacity.Capacity, life: Heartbeat, say: Any, resume: bool
) -> dict[str, Any]:
    request = prepared.request
    folder = request.work_dir() / request.name
    record = SweepRecord(folder / "record", request.name, request.tracking_uri)
    facts = _facts(prepared, place) | kept_facts(prepared, resume)
    if request.space_file:  # before sweep.json, which a resumed sweep needs it for
        kept_as = f"{request.name}/submission/{request.space_file.kept_as}"
        prepared.storage.write_text(kept_as, request.space_file.text)
    _write(prepared, facts)
    record.start(flatten(request.config), _tags(facts), prepared.images)
    if not resume:
        record.submission(
            provenance.save_provenance(prepared.storage, request.name, folder / "submission", facts)
        )
    if request.budget.gpu_hours and not place.gpus:
        say("--max-gpu-hours counts nothing while no GPU is here; --max-hours would")
    slots = place.slots(request.gpus, request.ranks)
    with ProgressLine(prepared.stages(), slots) as progress, placement_groups.removing_orphans():
        sweep = Sweep(prepared, place, record, progress, life)
        try:
            rows = sweep.run()
        except (Interrupted, KeyboardInterrupt):
            record.finish({"status": "interrupted"}, [], "KILLED")
            record.close(20)
            _write(prepared, facts | {"status": "interrupted"})
            raise Interrupted(request.name) from None
        except BaseException:
            record.finish({"status": "failed"}, [], "FAILED")
            record.close(20)
            _write(prepared, facts | {"status": "failed"})
            raise
    life.too_late_to_stop()
    facts |= sweep_result(rows, sweep, prepared) | {"status": "finished", "ended": time.time()}
    _finish(prepared, record, rows, facts, say)
    return facts


def _finish(
    prepared: SweepPlan, record: SweepRecord, rows: list[Row], facts: dict[str, Any], say: Any
) -> None:
    """Leaderboard, report and MLflow's last word; an MLflow that is away costs nothing but its own pages."""
    name, storage = prepared.request.name, prepared.storage
    _write(prepared, facts)
    leaderboard.write(storage, name, rows)
    folder = prepared.request.work_dir() / name
    report = _report(prepared, folder)
    record.finish(_summary_tags(facts), [str(report), str(folder / "leaderboard.json")])
    delivered = record.close()
    for row in rows:
        stage, trial_id = (
            ("confirm", row["of"]) if row["stage"] == "test" else (row["stage"], row["trial_id"])
        )
        row["mlflow_run_id"] = record.run_id(stage, trial_id)
    facts["parent_run_id"] = record.writer.run_ids().get(name)
    leaderboard.write(storage, name, rows)
    _write(prepared, facts)
    _report(prepared, folder)
    if not delivered:
        say(f"MLflow has not taken everything yet; it stays in {record.writer.spool_dir}")


def _report(prepared: SweepPlan, folder: Path) -> Path:
    """report.html beside the rows; made locally and uploaded where the storage is remote."""
    name, storage = prepared.request.name, prepared.storage
    if not storage.is_local:
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("leaderboard.json", "sweep.json"):
            (folder / part).write_text(storage.read_text(f"{name}/{part}"))
    report = build_report(folder)
    if not storage.is_local:
        storage.write_bytes(f"{name}/report.html", report.read_bytes())
    return report


def _facts(prepared: SweepPlan, place: capacity.Capacity) -> dict[str, Any]:
    r = prepared.request
    return {
        "name": r.name,
        "recipe": r.config.recipe,
        "space": r.space.name,
        "space_file": r.space_file.spec if r.space_file else None,
        "objective": flatten(r.config.objective),
        "seed": r.seed,
        "status": "running",
        "started": time.time(),
        "ended": None,
        "command": r.command,
        "commit": provenance.commit(),
        "hardware": describe_hardware(),
        "place": place.description,
        "versions": provenance.versions(),
        "data": {
            role: {"spec": r.config.data.source(role), "digest": s.digest, "n": len(s)}
            for role, s in prepared.images.items()
        },
        "warm_starts": {
            "trained": len(prepared.missing),
            "reused": len(prepared.architectures) - len(prepared.missing),
        },
        "tracking_uri": r.tracking_uri,
        "plan": {"warm": [prepared.warm_keys[i] for i in prepared.missing]},
        "experiment": f"upsweep/{r.name}",
        "parent_run_id": None,
        "request": {
            "config": flatten(r.config),
            "trials": r.trials,
            "confirm_top": r.confirm_top,
            "confirm_seeds": r.confirm_seeds,
            "gpus_per_trial": r.gpus_per_trial,
            "ranks_per_trial": r.ranks_per_trial,
            "sampler": r.sampler,
            "stopping": r.stopping,
            "budget": vars(r.budget),
            "price_per_gpu_hour": r.price_per_gpu_hour,
        },
    }


def kept_facts(prepared: SweepPlan, resume: bool) -> dict[str, Any]:
    """What a resumed sweep says as it did before."""
    if not resume:
        return {}
    before = read_facts(prepared.storage, prepared.request.name)
    return {k: before[k] for k in ("started", "warm_starts", "commit")}


def check_same_images(prepared: SweepPlan) -> None:
    """UserError where a resumed sweep would read other images than it began with."""
    name = prepared.request.name
    before = read_facts(prepared.storage, name)
    for role, images in prepared.images.items():
        if before["data"][role]["digest"] != images.digest:
            raise UserError(f"data.{role} holds other images than sweep '{name}' began with")


def _write(prepared: SweepPlan, facts: Mapping[str, Any]) -> None:
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    prepared.storage.write_text(f"{prepared.request.name}/sweep.json", text)


def _tags(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("recipe", "space", "seed", "command", "commit", "hardware", "place")
    return {k: facts[k] for k in names} | {f"version/{k}": v for k, v in facts["versions"].items()}


def _summary_tags(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = ("status", "pick", "pick_design", "pick_reason", "cpu_hours", "gpu_hours", "cost")
    return {k: facts[k] for k in names}
