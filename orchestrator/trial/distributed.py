"""The same trial over several devices: Ray Train starts a process (rank) on each, and each runs trial.py.

Tune's function is then only the driver of a trainer. It holds no core and no GPU but a thousandth of the
head, so a sweep needs exactly what its trainers need and drivers can never keep trainers out (ray#54305).
The ranks' resources are one placement group: all of them, or the trial waits.

The first rank reports as a trial of one process does; its words reach Tune through the driver, and it waits
for the answer. A rank that dies ends its trainer, and Tune tries the trial again from its last checkpoint.
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
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from orchestrator.results.trial_report import Status, status_of
from orchestrator.trial import preemption
from orchestrator.trial.context import RankContext, TrialContext
from orchestrator.trial.report_actor import ActorReporter, start_report_actor
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import TrialSpec, identity, scratch_of
from orchestrator.trial.trial import Trial
from trainers.config import TrainConfig
from trainers.device import pick_device
from trainers.distributed import Ranks

DRIVER = {"cpu": 0, "node:__internal_head__": 0.001}
"""What the function that Tune runs holds: every Ray's head has one of the latter."""
NO_RETRY: Any = {"max_preemption_failures": 0, "controller_failure_limit": 0}
POLL_S = 1.0
SHUTDOWN_S = 30.0  # for the ranks to end by themselves after their last word
COLLECTIVE_S = 1800  # until ranks that wait for one another give up; a rank that died is noticed before
TRAIN = {
    # spot.py watches for notices; Ray's own watcher would wait for the machine's end before anything goes on
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # trials wait for machines as long as it takes, here as with one process
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
    trainer = Trainer(
        _run_rank,
        train_loop_config=settings,
        torch_config=TorchConfig(backend=_backend(config, spec), timeout_s=COLLECTIVE_S),
        scaling_config=ScalingConfig(
            num_workers=spec.ranks, use_gpu=spec.gpus > 0, resources_per_worker=resources_per_rank(spec)
        ),
        # Tune tries again: a second count of failures beside its own would multiply with it
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
    """Ray's own, but for its cleaner: a process more a trial, for what orphans.py does."""

    def _create_default_callbacks(self) -> list[Any]:
        made = super()._create_default_callbacks()  # type: ignore[misc]
        return [c for c in made if not isinstance(c, PlacementGroupCleanerCallback)]


def _run_rank(settings: dict[str, Any]) -> None:
    """Run the trial on one rank; what each process of a trainer calls."""
    trial_id, config, spec, lineage = settings["trial"]
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    torch.set_num_threads(spec.threads or torch.get_num_threads())
    device = pick_device(config.run.device)
    if device.type == "cuda":
        device = ray.train.torch.get_device()
    rank = RankContext(ranks, device, ActorReporter(settings["actor"], settings["pointer"]))
    try:
        Trial(TrialContext.open(trial_id, config, spec, lineage, rank)).run()
    except preemption.Preempted:
        return  # the driver has the report


def _relay(actor: Any, training: "Future[Any]", tune: Reporter) -> None:
    """Hand reports on to Tune until the ranks end. Raises what ended them without a last report."""
    status = Status.RUNNING
    while not status.is_last:
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
    """Why the ranks ended: the machine of one was taken, one died, or one failed."""
    failures = getattr(error, "worker_failures", {})
    seen = {rank: getattr(one, "health_check_failure", None) for rank, one in failures.items()}
    dead = {rank: one for rank, one in seen.items() if isinstance(one, RayActorError)}
    if any(e.preempted for e in dead.values()):
        return preemption.Preempted()
    # ranks that lost a dead one complain as well, so that one comes first
    for rank, one in dead.items():
        return RuntimeError(f"rank {rank} died: {_lines(one)[0]}")
    for rank, one in failures.items():
        return RuntimeError(f"rank {rank}: {_lines(one)[-1]}")
    return RuntimeError(_lines(error)[-1] if error else "its ranks ended without a last report")


def _lines(error: BaseException) -> list[str]:
    """Of its words; a traceback says what happened in its last, Ray on a dead actor in its first."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]


def _start_thread(call: Callable[[], Any]) -> "Future[Any]":
    """`call` in a thread of its own, which dies with the process."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  the driver raises it
            future.set_exception(error)

    threading.Thread(target=run, name="trainer", daemon=True).start()
    return future


def _backend(config: TrainConfig, spec: TrialSpec) -> str:
    return "nccl" if spec.gpus and config.run.device != "cpu" else "gloo"
