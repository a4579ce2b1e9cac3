"""A whole sweep, from a request to its result: plan, connect, run the stages, pick, write the report."""

import math
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from datasets import stopping
from orchestrator import provenance
from orchestrator.cluster import connect
from orchestrator.cluster.capacity import Capacity
from orchestrator.cluster.placement_groups import removing_orphans
from orchestrator.console.bars import waiting
from orchestrator.console.progress_line import ProgressLine
from orchestrator.results.row import Row
from orchestrator.results.sweep_folder import (
    LEADERBOARD,
    REPORT,
    START,
    check_name_is_free,
    read_facts,
    read_rows,
    write_facts,
    write_rows,
)
from orchestrator.storage import Storage
from orchestrator.sweep.champion_floor import floor_facts
from orchestrator.sweep.clock import SweepClock, open_clock
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.devices import usable_capacity
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.sweep.latency import as_plain, kept_costs, leave_out_slow, measure_architectures
from orchestrator.sweep.live_report import LiveReport, write_report
from orchestrator.sweep.plan import SweepPlan, make_plan
from orchestrator.sweep.request import Request
from orchestrator.sweep.result import add_run_ids, pick_metrics, sweep_result
from orchestrator.sweep.resume import LoadedSpace, check_same_images, kept_facts
from orchestrator.sweep.stage_runner import Interrupted
from orchestrator.sweep.stages import run_stages
from orchestrator.sweep.worker_check import check_worker
from orchestrator.tracking.run_key import experiment_name
from orchestrator.tracking.sweep_record import SweepRecord
from trainers import plugins
from trainers.checkpoint import read_extra
from trainers.config import flatten

Say = Callable[[str], Any]
TAGS = ("recipe", "space", "seed", "command", "commit", "hardware", "place")
STOPPING = "stopping: every running trial saves a checkpoint; this takes some seconds"
RESULT_TAGS = ("status", "pick", "pick_design", "pick_reason", "cpu_hours", "gpu_hours", "cost")


def run_sweep(
    request: Request,
    space: LoadedSpace,
    *,
    command: str = "",
    resume: bool = False,
    say: Say = print,
    began: float | None = None,
    wait: bool = False,
) -> dict[str, Any]:
    """Run a sweep, or resume it, and return the content of its sweep.json.

    Args:
        command: the command line, for the record.
        say: prints one line.
        began: when the command began, by time.monotonic, from which --hours counts; now if it is None.
        wait: wait for the end of another sweep on this machine, which --hours does not count.

    Raises:
        UserError: the sweep cannot be run; before the first stage nothing is spent or written.
        Interrupted: the user stopped it; it can be resumed.
    """
    began = time.monotonic() if began is None else began
    connect.check_datasets_package()
    if resume and read_facts(Storage(request.storage), request.name).get("status") == "finished":
        return finish_again(request, say)
    with ExitStack() as stack:
        if request.address:
            connect.reach(request.address)
        else:
            folder = Storage(request.storage).url(request.name)
            began += stack.enter_context(connect.local_lock(request.name, folder, say if wait else None))
        heartbeat = Heartbeat(Storage(request.storage), request.name, say, began)
        if resume:  # at once, so that --status knows; a new sweep leaves no traces before it was checked
            stack.enter_context(heartbeat)
        plan = make_plan(request, space.space, resume)
        if not resume:
            stack.enter_context(heartbeat)
        plan.storage = heartbeat.storage
        if resume:
            check_same_images(plan)
        else:
            check_name_is_free(plan.storage, request.name)  # again: it may have begun since the plan was made
        capacity = stack.enter_context(connect.connect(request.address or None))
        capacity = usable_capacity(plan.request, capacity, say)
        say(f"running on {capacity.description}")
        if not request.address and sys.stdout.isatty():
            say("closing this terminal stops the sweep cleanly; to keep it, use tmux or nohup")
        if request.max_gpu_hours and not capacity.gpus:
            say("--max-gpu-hours counts nothing while no GPU is here; --hours would")
        with waiting("measuring this machine"):
            if capacity.gpus:
                say("checking the largest training step on a GPU")
            check = check_worker(plan, capacity)
            if check.total_bytes:
                say(check.describe())
            plan.costs = kept_costs(plan) if resume else measure_architectures(plan, capacity)
            slow = leave_out_slow(plan, resume)
            clock = open_clock(plan, capacity, heartbeat, resume, say)
        report = f"report   {plan.storage.root}/{request.name}/{REPORT}, rewritten as the sweep goes on"
        told = clock.describe() if clock and not resume else []
        for line in [plan.heading, *plan.describe(), *slow, report, *told]:
            say(line)
        facts = _facts(plan, capacity, command, space, check.hardware)
        facts |= kept_facts(plan) if resume else floor_facts(plan, capacity)
        return _run_recorded(plan, capacity, heartbeat, facts, space, resume, say, clock)


def _run_recorded(
    plan: SweepPlan,
    capacity: Capacity,
    heartbeat: Heartbeat,
    facts: dict[str, Any],
    space: LoadedSpace,
    resume: bool,
    say: Say,
    clock: SweepClock | None,
) -> dict[str, Any]:
    """Run the stages with their record, and write the result; a sweep that ends early is marked so."""
    request, storage, name = plan.request, plan.storage, plan.request.name
    folder, record = request.work_dir / name, _open_record(request, facts)
    if space.file:  # first: once sweep.json exists the sweep can be resumed, and that needs this file
        storage.write_text(f"{name}/submission/{space.file.stored_name}", space.file.text)
    own = plugins.files_of([*flatten(request.config).values(), *plan.space.own_names()])
    for file, text in own.items():
        storage.write_text(f"{name}/submission/{file}", text)
    if request.config.run.start_from and not resume:
        storage.publish(Path(request.config.run.start_from), f"{name}/{START}")
    write_facts(storage, name, facts)
    try:
        tags = {k: facts[k] for k in TAGS} | {f"version/{k}": v for k, v in facts["versions"].items()}
        record.start(flatten(request.config), tags, plan.images)
        if not resume:
            record.submission(provenance.save_provenance(storage, name, folder / "submission", facts))
        rows, result = _run_all_stages(plan, capacity, heartbeat, record, facts, clock)
    except (Interrupted, KeyboardInterrupt):
        _close(plan, record, facts | {"status": "interrupted"}, "KILLED")
        raise Interrupted(name) from None
    except BaseException:
        _close(plan, record, facts | {"status": "failed"}, "FAILED")
        raise
    heartbeat.ignore_stop_requests()
    facts |= result | {"status": "finished", "ended": time.time()}
    _finish(request, storage, record, rows, facts, say)
    return facts


def _run_all_stages(
    plan: SweepPlan,
    capacity: Capacity,
    heartbeat: Heartbeat,
    record: SweepRecord,
    facts: Mapping[str, Any],
    clock: SweepClock | None,
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of all stages, and the entries of sweep.json that result from them."""
    slots = capacity.slots(plan.request.gpus, plan.request.ranks)
    floor = facts["champion_floor"]["value"]
    least = -math.inf if floor is None else floor
    with (
        ProgressLine(plan.stages(), slots) as progress,
        stopping.acknowledged(lambda: progress.say(STOPPING)),
        removing_orphans(),
    ):
        heartbeat.progress = progress.in_words
        progress.began -= heartbeat.seconds()  # from the command on, over all drivers
        progress.hours = plan.request.hours
        evaluator = plan.val_evaluator()
        bicubic = evaluator.measure_resizer("bicubic").summary
        context = SweepContext(
            plan, capacity, record, progress, heartbeat, bicubic, evaluator.protocol, least, clock=clock
        )
        with LiveReport(plan.storage, facts, context.ended, progress.in_words, progress.say):
            rows = run_stages(context)
    return rows, sweep_result(rows, context) | (clock.facts(plan) if clock else {})


def _open_record(request: Request, facts: Mapping[str, Any]) -> SweepRecord:
    """Return the sweep's record; it finds its runs in MLflow even if another machine resumes the sweep."""
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{request.name} {facts['started']}").hex
    folder = request.work_dir / request.name / "record"
    return SweepRecord(folder, request.name, request.tracking_uri or request.default_tracking_uri(), identity)


def _close(plan: SweepPlan, record: SweepRecord, facts: Mapping[str, Any], status: str) -> None:
    """Write the status of a sweep that did not finish, then close its record, which may wait for MLflow.

    If the disk is full, the status stays "running" without a driver, and --status says that the sweep died.
    """
    with suppress(OSError):
        write_facts(plan.storage, plan.request.name, facts)
    record.finish({"status": facts["status"]}, [], status)
    record.close(20)


def finish_again(request: Request, say: Say = print) -> dict[str, Any]:
    """Return sweep.json of a finished sweep, after MLflow got what it still lacked; nothing is trained.

    The answer is never overwritten by anything but itself: nothing here depends on stages or images.
    """
    storage, name = Storage(request.storage), request.name
    with Heartbeat(storage, name, say) as heartbeat:
        heartbeat.ignore_stop_requests()
        facts, rows = read_facts(storage, name), read_rows(storage, name)
        say(f"sweep '{name}' is finished; its report and its MLflow record are completed")
        record = _open_record(request, facts)
        record.writer.start()
        _finish(request, heartbeat.storage, record, rows, facts, say)
    return facts


def _finish(
    request: Request, storage: Storage, record: SweepRecord, rows: list[Row], facts: dict[str, Any], say: Say
) -> None:
    """Write leaderboard and report, then again with MLflow's run ids if MLflow has taken everything.

    Rows come first: whoever reads sweep.json finds the picked trial among them.
    """
    name, folder = request.name, request.work_dir / request.name

    def write() -> Path:
        add_run_ids(record, rows, facts)
        write_rows(storage, name, rows)
        write_facts(storage, name, facts)
        return write_report(storage, folder)

    files = [str(write()), str(folder / LEADERBOARD)]
    record.finish({k: facts[k] for k in RESULT_TAGS}, files, pick=pick_metrics(facts))
    delivered = record.close()
    write()
    if not delivered:
        say(f"MLflow has not taken everything yet; it stays in {record.writer.spool_dir}")
    if refusals := record.writer.refusals():
        say(refusals)


def _facts(
    plan: SweepPlan, capacity: Capacity, command: str, space: LoadedSpace, hardware: str
) -> dict[str, Any]:
    """Return the content of sweep.json at the start of a sweep."""
    request, to_train = plan.request, len(plan.missing)
    return {
        "name": request.name,
        "recipe": request.config.recipe,
        "space": plan.space.name,
        "space_file": space.file.spec if space.file else None,
        "objective": flatten(request.config.objective),
        "seed": request.seed,
        "status": "running",
        "started": time.time(),
        "ended": None,
        "command": command,
        "commit": provenance.commit(),
        "hardware": hardware,
        "place": capacity.description,
        "versions": provenance.versions(),
        "data": {
            role: {"spec": request.config.data.source(role), "digest": s.digest, "n": len(s)}
            for role, s in plan.images.items()
        },
        "gate_images": plan.gate_images,
        "start": read_extra(Path(source)).get("start") if (source := request.config.run.start_from) else None,
        "warm_starts": {"trained": to_train, "reused": len(plan.warm_keys) - to_train},
        "tracking_uri": request.chosen_tracking_uri,
        "inference": as_plain(plan.costs),
        "plan": {"warm": [plan.warm_keys[i] for i in plan.missing]},
        "experiment": experiment_name(request.name),
        "parent_run_id": None,
        "request": request.to_json(),
    }
