"""A study from its plan to its answer: run what is missing, record it, conclude, write what people read."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import ImageSet, disjoint, open_images
from orchestrator import provenance
from orchestrator.cluster import capacity, connect
from orchestrator.console import ProgressLine, StagePlan
from orchestrator.studies import executor, export
from orchestrator.studies.evaluation import of_baseline
from orchestrator.studies.plan import Study, check_names, summary
from orchestrator.studies.request import Request
from orchestrator.studies.results import Answer, FinishedTraining, Results
from orchestrator.studies.spec import Training, open_test
from orchestrator.studies.training import RESULT_FILE, TrainingJob, is_done
from orchestrator.tracking.journal import read_entries
from orchestrator.tracking.sweep_record import SweepRecord
from trainers.config import flatten
from trainers.device import describe_hardware, pick_device
from trainers.metrics import require

FACTS = "study.json"
STAGE = "run"

Digests = tuple[tuple[str, str], ...]
"""Role and digest of the images of a training."""


def run_study(study: Study, request: Request, baselines: tuple[str, ...], say: Any = print) -> Answer:
    """Run a study, or go on with one; returns its answer. UserError before anything is spent."""
    check_names(study.trainings)
    facts = _begin(study, request)
    digests = _check_images(study, request)
    with ExitStack() as stack:
        place = _place(request, stack)
        say(f"running on {place.description}")
        for arm, n, steps in summary(study):
            say(f"  {arm:<34} {n} x {steps:,} steps")
        _write_facts(request, facts)
        record = _record(study, request, facts) if request.track else None
        try:
            _run(study, request, digests, place, record, stack)
            results = _results(study, request, baselines, say)
            answer = study.conclude(results)
        except BaseException:
            _write_facts(request, facts | {"status": "interrupted"})
            if record:
                record.finish({"status": "interrupted"}, [], "KILLED")
                record.close(20)
            raise
        facts |= {"status": "finished", "ended": time.time(), **_spent(results, place, request)}
        _write_facts(request, facts)
        files = export.answer(request.folder, study, answer, facts)
        if record:
            _finish(record, answer, files, facts, say)
    return answer


def _begin(study: Study, request: Request) -> dict[str, Any]:
    """The study's facts; UserError for a name that exists, or a resumed study that is another one."""
    path = request.folder / FACTS
    if not request.resume and path.exists():
        raise UserError(
            f"study '{request.name}' exists in {request.folder.parent}: go on with --resume, or choose "
            f"another --name"
        )
    if request.resume:
        if not path.exists():
            raise UserError(f"there is no study '{request.name}' in {request.folder.parent} to resume")
        kept = json.loads(path.read_text())
        if kept["plan"] != study.digest():
            raise UserError(
                f"study '{request.name}' began with other trainings; resume it with the options it began "
                f"with: {kept['command']}"
            )
        return kept | {"status": "running"}
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


def _check_images(study: Study, request: Request) -> dict[str, Digests]:
    """Open every set once, refuse pictures that training and test share; digests by training."""
    work_dir = request.storage
    tests: dict[DataConfig, ImageSet] = {}
    digests: dict[str, Digests] = {}
    for training in study.trainings:
        require(training.metrics, "--metrics")
        data = training.config.data
        for test in training.tests:
            if test.data not in tests:
                tests[test.data] = open_test(test.data, work_dir)
        if data.train not in digests:
            train, val = (
                open_images(data.source(r), r, work_dir=work_dir, data=data) for r in ("train", "val")
            )
            for test in training.tests:
                disjoint(train, tests[test.data])
            digests[data.train] = (("train", train.digest), ("val", val.digest))
    return {t.name: digests[t.config.data.train] for t in study.trainings}


def _place(request: Request, stack: ExitStack) -> capacity.Capacity:
    if not request.ray:
        words = f"this process: {describe_hardware()}"
        return capacity.Capacity(words, True, 1, 1, int(pick_device().type == "cuda"))
    if request.address is None:
        stack.enter_context(connect.local_lock(request.name))
    return stack.enter_context(connect.connect(request.address))


def _run(
    study: Study,
    request: Request,
    digests: Mapping[str, Digests],
    place: capacity.Capacity,
    record: SweepRecord | None,
    stack: ExitStack,
) -> None:
    """Every training that is not done, those that others start from first."""
    slots = place.slots(request.gpus_per_run, 1)
    pool = stack.enter_context(executor.open_pool(request.ray, place.gpus > 0, request.gpus_per_run, slots))
    waiting = {t.name: t for t in study.trainings}
    running: dict[str, Training] = {}
    tails = {t.name: _Tail(request.folder / t.name / "journal.jsonl") for t in study.trainings}
    mean = sum(t.steps for t in waiting.values()) / len(waiting)
    progress = stack.enter_context(ProgressLine([StagePlan(STAGE, len(waiting), int(mean), 0)], slots))
    progress.begin(STAGE)
    while waiting or running:
        for name in [n for n, t in waiting.items() if not t.after or is_done(request.folder / t.after)]:
            if len(running) >= slots:
                break
            running[name] = waiting.pop(name)
            if record:
                t = running[name]
                record.start_trial(STAGE, name, f"{t.arm} seed {t.seed}", flatten(t.config))
            pool.submit(name, _job(running[name], request, digests[name], place.gpus > 0))
        ended = pool.ended(0.5)
        for name, training in list(running.items()):
            entries = tails[name].read()
            if record:
                record.append(entries)
            for e in entries:
                if e["kind"] == "metrics" and "seconds" in e["values"]:
                    progress.step(name, "psnr", e["step"], e["values"]["seconds"])
            if name in ended:
                pool.result(name)
                del running[name]
                found = json.loads((request.folder / name / RESULT_FILE).read_text())
                progress.end(name, found["seconds"])
                if record:
                    _record_end(record, request, training, found, place)


def _job(training: Training, request: Request, digests: Digests, on_gpu: bool) -> TrainingJob:
    folder = request.folder
    config = training.config
    return TrainingJob(
        training=training,
        folder=str(folder / training.name),
        work_dir=str(request.storage),
        run_key=f"{request.name}/{STAGE}/{training.name}",
        after=str(folder / training.after) if training.after else "",
        digests=digests,
        # two trainings with one thread each beat one with two
        threads=config.run.threads or (0 if on_gpu else 1),
    )


class _Tail:
    """Reads a journal from where the last read ended."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset = path, 0

    def read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        entries, self.offset = read_entries(self.path, self.offset)
        return entries


def _record_end(
    record: SweepRecord,
    request: Request,
    training: Training,
    found: Mapping[str, Any],
    place: capacity.Capacity,
) -> None:
    """The end of a training in MLflow."""
    hours = found["seconds"] / 3600 * (request.gpus_per_run if place.gpus else 0)
    spent = {"gpu_hours": hours, "cpu_hours": found["cpu_seconds"] / 3600}
    words = found["diverged"] or "ran its whole budget"
    record.end_trial(
        STAGE, training.name, words, spent, None, found.get("checkpoint"), failed=bool(found["diverged"])
    )


def _record(study: Study, request: Request, facts: Mapping[str, Any]) -> SweepRecord:
    record = SweepRecord(request.folder / "record", request.name, request.uri)
    tags = {k: facts[k] for k in ("kind", "command", "commit", "hardware", "miniature")}
    record.start(flatten(request.config), {"study": study.kind, **tags}, {})
    return record


def _finish(
    record: SweepRecord, answer: Answer, files: list[str], facts: Mapping[str, Any], say: Any
) -> None:
    claims = {f"claim/{c.id}": f"{c.status}: {c.why}" for c in answer.claims}
    tags = {k: facts[k] for k in ("status", "gpu_hours", "cpu_hours")}
    record.finish(claims | tags, files)
    if not record.close():
        say(f"MLflow has not taken everything yet; it stays in {record.writer.spool_dir}")


def _results(study: Study, request: Request, baselines: tuple[str, ...], say: Any) -> Results:
    done = []
    for training in study.trainings:
        folder = request.folder / training.name
        done.append(FinishedTraining(training, folder, json.loads((folder / RESULT_FILE).read_text())))
    measured: dict[str, dict[str, Any]] = {kind: {} for kind in baselines}
    for kind in baselines:
        path = request.folder / f"baseline-{kind.replace(' ', '-')}.json"
        if not path.exists():
            tests = {test.name: (t, test) for t in reversed(study.trainings) for test in t.tests}
            pictures = request.folder / "pictures"
            say(f"measuring {kind} on {', '.join(tests)}")
            found = {
                n: of_baseline(kind, t, test, pictures, request.storage) for n, (t, test) in tests.items()
            }
            path.write_text(json.dumps(found))
        measured[kind] = json.loads(path.read_text())
    return Results(done, measured, request.folder, request.storage)


def _spent(results: Results, place: capacity.Capacity, request: Request) -> dict[str, float]:
    share = request.gpus_per_run if place.gpus else 0.0
    return {
        "gpu_hours": sum(d.found["seconds"] for d in results.done) / 3600 * share,
        "cpu_hours": sum(d.found["cpu_seconds"] for d in results.done) / 3600,
    }


def _write_facts(request: Request, facts: Mapping[str, Any]) -> None:
    request.folder.mkdir(parents=True, exist_ok=True)
    part = request.folder / f".{FACTS}.part"
    part.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    part.replace(request.folder / FACTS)
