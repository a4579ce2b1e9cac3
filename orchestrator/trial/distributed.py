"""Trials on several devices: Ray Train starts one process (rank) on each, and each runs trial.py.

The function that Tune calls is the driver of a Ray Train trainer. It holds no core and no GPU, only a
thousandth of a resource of the head, so that drivers cannot take the resources that trainers wait for
(ray#54305). The ranks' resources are one placement group: the trial waits until all of them are free.

The first rank reports as a trial of one process does: the driver relays its reports to Tune and acknowledges
them. A rank that dies ends its trainer, and Tune retries the trial from its last checkpoint.
"""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

import ray
import ray.train
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from orchestrator.cluster import ray_private
from orchestrator.cluster.worker import open_device
from orchestrator.results.trial_report import Status, status_of
from orchestrator.trial import preemption
from orchestrator.trial.context import RankContext, TrialContext
from orchestrator.trial.report_actor import ActorReporter, start_report_actor
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import TrialSpec, identity, scratch_of
from orchestrator.trial.trial import run_opened
from trainers.distributed import Ranks
from trainers.numerics import use_threads

DRIVER = {"cpu": 0, "node:__internal_head__": 0.001}
"""Resources of the driver; the head of every Ray cluster has 1 of the latter."""
NO_RETRY: Any = {"max_preemption_failures": 0, "controller_failure_limit": 0}
POLL_S = 1.0
SHUTDOWN_S = 30.0  # for the ranks to end by themselves after the last report
COLLECTIVE_S = 1800  # until ranks that wait for one another fail; a dead rank is noticed sooner
TRAIN = {
    # preemption.py watches for notices; Ray's watcher would wait for the end of the machine before a retry
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # trials wait for machines without a limit, as those of one process do
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1000000",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_ranks(params: Mapping[str, Any], spec: TrialSpec) -> None:
    """Run one trial as several ranks; the function that Ray Tune calls."""
    trial_id, config, lineage = identity(params, spec)
    scratch = scratch_of(spec, trial_id)
    tune, actor = TuneReporter(scratch), start_report_actor(ray.get_runtime_context().get_node_id())
    settings = {"trial": (trial_id, config, spec, lineage), "actor": actor, "pointer": tune.pointer()}
    os.environ.update(TRAIN)
    records = scratch / "ray-train"
    backend = "nccl" if spec.gpus and config.run.device != "cpu" else "gloo"
    trainer = Trainer(
        _run_rank,
        train_loop_config=settings,
        torch_config=TorchConfig(backend=backend, timeout_s=COLLECTIVE_S),
        scaling_config=ScalingConfig(
            num_workers=spec.ranks, use_gpu=spec.gpus > 0, resources_per_worker=resources_per_rank(spec)
        ),
        # Tune retries: retries of Ray Train would multiply with those
        run_config=RunConfig(
            name=trial_id,
            storage_path=str(records),
            failure_config=FailureConfig(max_failures=0, **NO_RETRY),
        ),
    )
    try:
        _relay(actor, _start_thread(trainer.fit), tune)
    finally:
        shutil.rmtree(records, ignore_errors=True)


def resources_per_rank(spec: TrialSpec) -> dict[str, float]:
    """Return one core, and the rank's GPU if there are any."""
    return {"CPU": 1, "GPU": spec.gpus} if spec.gpus else {"CPU": 1}


class Trainer(TorchTrainer):
    """Ray's TorchTrainer without its cleaner process: cluster/placement_groups.py removes orphans."""

    def _create_default_callbacks(self) -> list[Any]:
        return ray_private.without_cleaner(super()._create_default_callbacks())  # type: ignore[misc]


def _run_rank(settings: dict[str, Any]) -> None:
    """Run one rank of a trial; Ray Train calls this in each process."""
    trial_id, config, spec, lineage = settings["trial"]
    use_threads(spec.threads or torch.get_num_threads())
    reporter = ActorReporter(settings["actor"], settings["pointer"])

    def open_context() -> TrialContext:
        device = open_device(config.run, spec.gpus)
        if device.type == "cuda":
            device = ray.train.torch.get_device()
        rank = RankContext(Ranks(dist.get_rank(), dist.get_world_size()), device, reporter)
        return TrialContext.open(trial_id, config, spec, lineage, rank)

    try:
        run_opened(open_context, config, spec, reporter)
    except preemption.Preempted:
        return  # the driver has the report


def _relay(actor: Any, training: "Future[Any]", tune: Reporter) -> None:
    """Relay reports to Tune until the ranks end; raise the error that ended them before a last report."""
    status = Status.RUNNING
    while status is Status.RUNNING:  # any other status ends the attempt
        received = ray.get(actor.receive.remote(POLL_S))
        if received is None:
            if training.done():
                raise _cause(training.exception())
            continue
        result, pointer = received
        status = status_of(result)
        tune.report(result, pointer)
        ray.get(actor.acknowledge.remote())
    ray.get(actor.close.remote())
    wait_for([training], SHUTDOWN_S)
    if status is Status.PREEMPTED:
        raise preemption.Preempted


def _cause(error: BaseException | None) -> BaseException:
    """Return the exception to raise for `error`, with which Ray Train ended because one or more ranks failed.

    It is Preempted if the machine of a rank was taken away, else a RuntimeError that names a rank: one whose
    process died, or if none died, one that raised an error.
    """
    failures = getattr(error, "worker_failures", {})
    health = {rank: getattr(failure, "health_check_failure", None) for rank, failure in failures.items()}
    dead = {rank: failure for rank, failure in health.items() if isinstance(failure, RayActorError)}
    if any(e.preempted for e in dead.values()):
        return preemption.Preempted()
    # ranks that lost their connection to a dead rank fail as well, so a dead rank is named first
    for rank, failure in dead.items():
        return RuntimeError(f"rank {rank} died: {_lines(failure)[0]}")
    for rank, failure in failures.items():
        return RuntimeError(f"rank {rank}: {_lines(failure)[-1]}")
    return RuntimeError(_lines(error)[-1] if error else "its ranks ended without a last report")


def _lines(error: BaseException) -> list[str]:
    """Return the lines of an error's text that are not empty; its repr if there are none.

    The last line of a traceback names the error; of Ray's text about a dead actor, the first line does.
    """
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]


def _start_thread(call: Callable[[], Any]) -> "Future[Any]":
    """Run `call` in a daemon thread; return the future of its result."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  the driver raises it
            future.set_exception(error)

    threading.Thread(target=run, name="trainer", daemon=True).start()
    return future
