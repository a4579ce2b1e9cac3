"""Run a study from its plan to its answer: missing trainings, baselines, conclusion, MLflow record, files."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.files import alone, atomic_json, read_json
from datasets.image_set import ImageSet, disjoint, open_images
from orchestrator import provenance
from orchestrator.cluster import capacity, connect
from orchestrator.console.progress_line import ProgressLine, StagePlan
from orchestrator.studies import executor, export
from orchestrator.studies.baselines import lacking
from orchestrator.studies.evaluation import evaluate_baseline
from orchestrator.studies.plan import Study, check_names, summary
from orchestrator.studies.request import StudyRequest
from orchestrator.studies.results import Answer, FinishedTraining, StudyResults
from orchestrator.studies.spec import Training, open_test, slug
from orchestrator.studies.training import TrainingJob, is_done, read_result
from orchestrator.tracking.journal import read_entries
from orchestrator.tracking.sweep_record import SweepRecord
from trainers.config import flatten
from trainers.device import describe_hardware, pick_device
from trainers.metrics import require

FACTS = "study.json"
STAGE = "run"
POLL_S = 0.5
"""Interval at which journals are relayed while trainings run."""

Digests = tuple[tuple[str, str], ...]
"""Role and digest of the images of a training."""


def run_study(study: Study, request: StudyRequest, baselines: tuple[str, ...], say: Any = print) -> Answer:
    """Run or resume a study and return its answer. UserError, if any, comes before a training starts."""
    check_names(study.trainings)
    _begin(study, request)
    digests = _check_images(study, request)
    with ExitStack() as stack:
        place = _connect(request, stack)
        stack.enter_context(alone(request.folder / ".lock", f"runs study '{request.name}'"))
        facts = _begin(study, request)  # again: another command may have begun or ended it meanwhile
        say(f"running on {place.description}")
        for arm, n, steps in summary(study):
            say(f"  {arm:<34} {n} x {steps:,} steps")
        if facts["status"] != "finished":  # a finished one keeps its answer until the new one is there
            _write_facts(request, facts)
        record = _record(study, request, facts) if request.track else None
        try:
            _run(study, request, digests, place, record, stack)
            results = collect_results(study, request, baselines, say)
            answer = study.conclude(results)
        except KeyboardInterrupt:
            _close(request, record, facts, "interrupted", "KILLED")
            raise
        except BaseException:
            _close(request, record, facts, "failed", "FAILED")
            raise
        spent = [_hours(d.measured, request, place) for d in results.done]
        facts |= {"status": "finished", "ended": time.time()}
        facts |= {k: sum(hours[k] for hours in spent) for k in ("gpu_hours", "cpu_hours")}
        _write_facts(request, facts)
        files = export.write_answer(request.folder, study, answer, facts)
        if record:
            _record_answer(record, answer, files, facts, say)
    return answer


def _close(
    request: StudyRequest, record: SweepRecord | None, facts: Mapping[str, Any], status: str, run_status: str
) -> None:
    """Write the facts of a study that did not finish, and end its MLflow run with `run_status`."""
    if facts["status"] != "finished":
        _write_facts(request, {**facts, "status": status})
    if record:
        record.finish({"status": status}, [], run_status)
        record.close(20)


def _begin(study: Study, request: StudyRequest) -> dict[str, Any]:
    """Return the study's facts; UserError for a name that is taken, or if another study is resumed."""
    facts = read_json(request.folder / FACTS, keys=("plan", "command", "status"))
    parent = request.folder.parent
    if not request.resume:
        if facts:
            raise UserError(
                f"study '{request.name}' exists in {parent}; resume it with --resume or choose another --name"
            )
        return _new_facts(study, request)
    if not facts:
        raise UserError(f"there is no study '{request.name}' in {parent} to resume")
    if facts["plan"] != study.digest():
        raise UserError(
            f"study '{request.name}' began with other trainings; resume it with the options it began "
            f"with: {facts['command']}"
        )
    return facts if facts["status"] == "finished" else facts | {"status": "running"}


def _new_facts(study: Study, request: StudyRequest) -> dict[str, Any]:
    return {
        "name": request.name,
        "kind": study.kind,
        "status": "running",
        "started": time.time(),
        "command": request.command,
        "commit": provenance.commit(),
        "hardware": describe_hardware(),
        "miniature": request.miniature,
        "seeds": request.seeds,
        "plan": study.digest(),
        "trainings": len(study.trainings),
        "tracking_uri": request.uri,
    }


def _check_images(study: Study, request: StudyRequest) -> dict[str, Digests]:
    """Open every set once and return digests by training.

    UserError if the training images of a training share images with one of its test sets.
    """
    work_dir = request.work_dir
    tests: dict[DataConfig, ImageSet] = {}
    trained: dict[str, tuple[ImageSet, ImageSet]] = {}
    checked: set[tuple[str, str]] = set()
    for training in study.trainings:
        require(training.metrics, "--metrics")
        data = training.config.data
        if data.train not in trained:
            train, val = (
                open_images(data.source(r), r, work_dir=work_dir, data=data) for r in ("train", "val")
            )
            trained[data.train] = train, val
        train, _ = trained[data.train]
        for test in training.tests:
            if test.data not in tests:
                tests[test.data] = open_test(test.data, work_dir)
            images = tests[test.data]
            if (train.digest, images.digest) not in checked:
                disjoint(train, images)
                checked.add((train.digest, images.digest))
    roles = {name: (("train", a.digest), ("val", b.digest)) for name, (a, b) in trained.items()}
    return {t.name: roles[t.config.data.train] for t in study.trainings}


def _connect(request: StudyRequest, stack: ExitStack) -> capacity.Capacity:
    if not request.ray:
        description = f"this process: {describe_hardware()}"
        return capacity.Capacity(description, True, 1, 1, int(pick_device().type == "cuda"))
    if not request.address:
        stack.enter_context(connect.local_lock(request.name))
    return stack.enter_context(connect.connect(request.address or None))


def _run(
    study: Study,
    request: StudyRequest,
    digests: Mapping[str, Digests],
    place: capacity.Capacity,
    record: SweepRecord | None,
    stack: ExitStack,
) -> None:
    """Run every training; one that starts from another waits for it. Finished ones end at once."""
    slots = place.slots(request.gpus_per_run, 1)
    gpus = request.gpus_per_run if place.gpus else 0.0
    pool = stack.enter_context(executor.open_executor(request.ray, gpus, slots))
    waiting = {t.name: t for t in study.trainings}
    running: dict[str, Training] = {}
    offsets = dict.fromkeys(waiting, 0)
    mean = sum(t.steps for t in waiting.values()) / len(waiting)
    progress = stack.enter_context(ProgressLine([StagePlan(STAGE, len(waiting), int(mean), 0)], slots))
    progress.begin(STAGE)
    while waiting or running:
        ready = [n for n, t in waiting.items() if not t.after or is_done(request.folder / t.after)]
        for name in ready[: slots - len(running)]:
            t = running[name] = waiting.pop(name)
            if record:
                record.start_trial(STAGE, name, f"{t.arm} seed {t.seed}", flatten(t.config))
            pool.submit(name, _job(t, request, digests[name], place.gpus > 0))
        ended = pool.ended(POLL_S)
        for name in list(running):
            journal = request.folder / name / "journal.jsonl"
            if journal.exists():
                entries, offsets[name] = read_entries(journal, offsets[name])
                _relay(name, entries, record, progress)
            if name in ended:
                pool.result(name)
                del running[name]
                measured = read_result(request.folder / name)
                progress.end(name, measured["seconds"])
                if record:
                    diverged, hours = measured["diverged"], _hours(measured, request, place)
                    outcome, checkpoint = diverged or "ran its whole budget", measured.get("checkpoint")
                    record.end_trial(STAGE, name, outcome, hours, None, checkpoint, failed=bool(diverged))


def _job(training: Training, request: StudyRequest, digests: Digests, on_gpu: bool) -> TrainingJob:
    folder = request.folder
    return TrainingJob(
        training=training,
        folder=str(folder / training.name),
        work_dir=str(request.work_dir),
        run_key=f"{request.name}/{STAGE}/{training.name}",
        after_folder=str(folder / training.after) if training.after else "",
        digests=digests,
        # on CPUs two trainings with one thread each beat one training with two
        threads=training.config.run.threads or (0 if on_gpu else 1),
    )


def _relay(
    name: str, entries: list[dict[str, Any]], record: SweepRecord | None, progress: ProgressLine
) -> None:
    """Pass new journal entries of a training on to MLflow and to the progress line."""
    if record:
        record.append(entries)
    for e in entries:
        if e["kind"] == "metrics" and "seconds" in e["values"]:
            progress.step(name, "psnr", e["step"], e["values"]["seconds"])


def _hours(measured: Mapping[str, Any], request: StudyRequest, place: capacity.Capacity) -> dict[str, float]:
    """Return the GPU-hours and CPU-hours of a finished training."""
    gpus = request.gpus_per_run if place.gpus else 0.0
    return {"gpu_hours": measured["seconds"] / 3600 * gpus, "cpu_hours": measured["cpu_seconds"] / 3600}


def _record(study: Study, request: StudyRequest, facts: Mapping[str, Any]) -> SweepRecord:
    record = SweepRecord(request.folder / "record", request.name, request.uri)
    tags = {k: facts[k] for k in ("kind", "command", "commit", "hardware", "miniature")}
    record.start(flatten(request.config), {"study": study.kind, **tags}, {})
    return record


def _record_answer(
    record: SweepRecord, answer: Answer, files: list[str], facts: Mapping[str, Any], say: Any
) -> None:
    """End the study's MLflow run with the claims as tags and the answer's files."""
    claims = {f"claim/{c.id}": f"{c.status}: {c.why}" for c in answer.claims}
    tags = {k: facts[k] for k in ("status", "gpu_hours", "cpu_hours")}
    record.finish(claims | tags, files)
    if not record.close():
        say(f"MLflow has not received everything yet; the rest is stored in {record.writer.spool_dir}")
    if refusals := record.writer.refusals():
        say(refusals)


def collect_results(
    study: Study, request: StudyRequest, baselines: tuple[str, ...], say: Any
) -> StudyResults:
    """Return the measurements of all trainings and of the baselines, which are measured if need be."""
    folders = [request.folder / t.name for t in study.trainings]
    done = [FinishedTraining(t, f, read_result(f)) for t, f in zip(study.trainings, folders, strict=True)]
    # reversed: of several trainings with a test set of one name, the first decides scale and metrics
    tests = {test.name: (t, test) for t in reversed(study.trainings) for test in t.tests}
    measured: dict[str, dict[str, Any]] = {}
    for kind in baselines:
        if reason := lacking(kind):
            say(reason)
            continue
        path = request.folder / f"baseline-{slug(kind)}.json"
        measured[kind] = read_json(path)
        for name, (training, test) in tests.items():
            if name not in measured[kind]:
                say(f"measuring {kind} on {name}")
                pictures = request.folder / "pictures"
                measured[kind][name] = evaluate_baseline(kind, training, test, pictures, request.work_dir)
                atomic_json(path, measured[kind])
    return StudyResults(done, measured, request.folder, request.work_dir)


def _write_facts(request: StudyRequest, facts: Mapping[str, Any]) -> None:
    request.folder.mkdir(parents=True, exist_ok=True)
    atomic_json(request.folder / FACTS, facts, pretty=True)
