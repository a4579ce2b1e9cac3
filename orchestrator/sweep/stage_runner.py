"""One stage under Ray Tune: run it, or resume it from its snapshot, and return its rows."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ray import tune

from datasets.errors import UserError
from orchestrator.results.row import Row
from orchestrator.results.sweep_folder import START, read_stage, write_stage
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.search.hooks import active
from orchestrator.search.proposals import starting_points
from orchestrator.search.sampler import build_search
from orchestrator.sweep.context import SweepContext
from orchestrator.sweep.stage import Stage
from orchestrator.sweep.stage_observer import StageObserver
from orchestrator.sweep.tune_callback import StageCallback
from orchestrator.sweep.tune_controller import restore_snapshot, using_upsweep_controller
from orchestrator.trial.spec import TrialSpec
from orchestrator.trial.trial import run_trial
from trainers.config import portable
from trainers.plugins import code_of

MAX_FAILURES = 3  # in a row, without a new evaluation between them; a diverged trial is never retried


class Interrupted(Exception):
    """The stage ended before all its trials were over, usually by Ctrl-C; it can be resumed."""


def run_stage(context: SweepContext, stage: Stage) -> list[Row]:
    """Return the rows of a stage or of a part of one; a stage that was done before is read back.

    Raises:
        Interrupted: the stage ended early and can be resumed.
    """
    rows = read_stage(context.storage, context.request.name, stage.key)
    if rows is None:
        context.progress.begin(stage.planned or stage.name)
        began, is_new = time.monotonic(), not context.storage.exists(_snapshot(context, stage))
        rows = _rows(stage, _run_under_tune(context, stage)) if stage.designs or stage.draws else []
        if context.clock and is_new:
            context.clock.stage_took(time.monotonic() - began, rows)
        write_stage(context.storage, context.request.name, stage.key, rows)
    elif stage.part:  # other parts of the stage follow
        context.progress.begin(stage.planned or stage.name)
        for row in rows:
            context.progress.end(row["trial_id"])
    context.count(rows)
    return rows


def _rows(stage: Stage, callback: StageCallback) -> list[Row]:
    rows = [callback.rows[tune_id] for tune_id in callback.params]
    return sorted(rows, key=lambda r: r["trial_id"]) if stage.designs else rows


def _run_under_tune(context: SweepContext, stage: Stage) -> StageCallback:
    """Run or resume the stage's trials; return the callback, which holds what they reported."""
    tuner, callback = _tuner(context, stage)
    observer = StageObserver(context, stage, callback)
    keep = partial(context.storage.write_bytes, _snapshot(context, stage))
    try:
        with active(callback.key, observer), using_upsweep_controller(keep, observer.slots):
            tuner.fit()
            observer.check()
    except KeyboardInterrupt:
        raise Interrupted from None
    finally:
        with suppress(OSError):  # study.db is a copy: an unreachable storage must not replace the reason
            observer.study_export.write()
    if not _is_complete(context, stage, callback, observer):
        raise Interrupted
    if callback.scheduler is not None:
        decisions = callback.scheduler.get_state()
        write_stage(context.storage, context.request.name, f"{stage.key}-decisions", decisions)
    return callback


def _is_complete(
    context: SweepContext, stage: Stage, callback: StageCallback, observer: StageObserver
) -> bool:
    """Return True if every trial that the stage was to have is over.

    If a budget ended the drawing before a restart, Tune asks for no more designs, and nothing in this process
    has said why; so the budget is asked again.
    """
    expected = len(stage.designs) or context.request.trials
    drawn = len(callback.params)
    if drawn < expected and not (drawn and stage.draws and observer.is_budget_spent(drawn)):
        return False
    return all(callback.is_over(tune_id) for tune_id in callback.params)


def _snapshot(context: SweepContext, stage: Stage) -> str:
    return context.path(f"tune/{stage.key}.snapshot")


def _tuner(context: SweepContext, stage: Stage) -> tuple[tune.Tuner, StageCallback]:
    """Return a tuner, restored from the stage's snapshot if there is one, and its callback."""
    folder = context.path(f"tune/{stage.key}")
    path, files = context.storage.tune_place(folder)
    function, resources = _function_and_resources(context)
    trainable = tune.with_resources(tune.with_parameters(function, spec=_spec(context, stage)), resources)
    if restore_snapshot(context.storage, _snapshot(context, stage), folder):
        if not tune.Tuner.can_restore(path, storage_filesystem=files):
            raise _lost(context, stage, f"{context.storage.url(folder)}/tuner.pkl")
        tuner = tune.Tuner.restore(
            path, trainable, resume_unfinished=True, resume_errored=True, storage_filesystem=files
        )
        # pickled with the tuner, and with it the scheduler that the tuner uses
        callbacks = tuner._local_tuner.get_run_config().callbacks or []  # type: ignore[union-attr]
        callback = next(c for c in callbacks if isinstance(c, StageCallback))
        callback.must_restore = True
        return tuner, callback
    begun = f"{stage.name}{stage.part}-"  # a snapshot is kept before any trial starts
    if any(trial.startswith(begun) for trial in context.storage.listing(context.path("trials"))):
        raise _lost(context, stage, context.storage.url(_snapshot(context, stage)))
    context.storage.remove(folder)  # left by a driver that was killed before its first trial
    callback = StageCallback(stage.study_name(context.request.name), _scheduler(context, stage))
    return _new_tuner(context, stage, trainable, callback, (path, files)), callback


def _lost(context: SweepContext, stage: Stage, place: str) -> UserError:
    trials = context.storage.url(context.path(f"trials/{stage.name}{stage.part}-*"))
    return UserError(
        f"{place} is missing, though trials of stage {stage.key} began; restore it from a copy, or delete "
        f"{trials} to begin the stage again"
    )


def _scheduler(context: SweepContext, stage: Stage) -> SuccessiveHalving | None:
    if not stage.draws:
        return None
    plan, stopping = context.plan, context.request.stopping
    # unused: without milestones no trial is ranked
    rule = "feasible_first" if stopping == "none" else stopping
    return SuccessiveHalving(context.objectives, plan.milestones, plan.space.reduction, rule)


def _new_tuner(
    context: SweepContext, stage: Stage, trainable: Any, callback: StageCallback, place: tuple[str, Any]
) -> tune.Tuner:
    request, search = context.request, _search(context, stage, callback)
    folder, _, name = place[0].rpartition("/")
    return tune.Tuner(
        trainable,
        param_space={} if stage.draws else {"index": tune.grid_search(list(range(len(stage.designs))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=context.slots(),
            reuse_actors=request.ranks == 1,  # the ranks of a stopped trial end with their driver
            **search,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=folder,
            storage_filesystem=place[1],
            verbose=0,
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )


def _search(context: SweepContext, stage: Stage, callback: StageCallback) -> dict[str, Any]:
    """Return sampler, scheduler and number of samples of a stage that draws its designs."""
    if not stage.draws:
        return {}
    request, space = context.request, context.plan.space
    trials, sampler, seed = request.trials, request.sampler, request.seed
    points = starting_points(space, trials, sampler, seed)
    search = build_search(space, context.objectives, callback.key, seed, points, trials, sampler)
    return {"search_alg": search, "scheduler": callback.scheduler, "num_samples": trials}


def _spec(context: SweepContext, stage: Stage) -> TrialSpec:
    request = context.request
    return TrialSpec(
        sweep=request.name,
        stage=stage.name,
        storage=context.storage.root,
        work_dir=str(request.work_dir),
        base=portable(request.config) | code_of(context.plan.space.own_names()),
        digests={role: context.plan.digests[role] for role in ("train", "val")},
        designs=stage.designs,
        # two trials with one thread each beat one trial with two
        threads=request.config.run.threads or (0 if context.capacity.gpus else 1),
        compile_threads=max(1, context.capacity.cpus // context.capacity.slots(request.gpus, request.ranks)),
        metrics=request.metrics,
        least=context.least,
        bicubic=context.bicubic,
        ancestor=context.plan.ancestor,
        start=context.path(START) if request.config.run.start_from else "",
        ranks=request.ranks,
        gpus=request.gpus_per_rank if context.capacity.gpus else 0.0,
    )


def _function_and_resources(context: SweepContext) -> tuple[Callable[..., None], dict[str, float]]:
    """Return the function that Tune runs, and the resources that it holds."""
    if context.request.ranks > 1:
        from orchestrator.trial import distributed  # Ray Train: seconds that others need not wait for

        return distributed.run_ranks, distributed.DRIVER
    return run_trial, {"cpu": 1, "gpu": context.gpus} if context.capacity.gpus else {"cpu": 1}
