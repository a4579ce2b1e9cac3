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

from orchestrator.trial import preemption
from orchestrator.trial.report_actor import ActorReporter, start_report_actor
from orchestrator.trial.reporter import Reporter, TuneReporter
from orchestrator.trial.spec import RankContext, TrialSpec, identity, scratch_of
from orchestrator.trial.trial import Trial
from trainers.config import TrainConfig
from trainers.device import pick_device
from trainers.distributed import Ranks

DRIVER = {"cpu": 0, "node:__internal_head__": 0.001}
"""What the function that Tune runs holds: every Ray's head has one of the latter."""
ENDINGS = ("complete", "diverged", "failed", "yielded")
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


def run_ranks(params: Mapping[str, Any], job: TrialSpec) -> None:
    """The function that Ray Tune runs where a trial has several ranks."""
    trial_id, config, course = identity(params, job)
    tune, line = (
        TuneReporter(scratch_of(job, trial_id)),
        start_report_actor(ray.get_runtime_context().get_node_id()),
    )
    settings = {"trial": (trial_id, config, job, course), "line": line, "pointer": tune.pointer()}
    os.environ.update(TRAIN)
    records = scratch_of(job, trial_id) / "ray-train"
    trainer = Trainer(
        _rank,
        train_loop_config=settings,
        torch_config=TorchConfig(backend=_backend(config, job), timeout_s=COLLECTIVE_S),
        scaling_config=ScalingConfig(
            num_workers=job.ranks, use_gpu=job.gpus > 0, resources_per_worker=per_rank(job)
        ),
        # Tune tries again: a second count of failures beside its own would multiply with it
        run_config=RunConfig(
            name=trial_id,
            storage_path=str(records),
            failure_config=FailureConfig(max_failures=0, **NO_RETRY),
        ),
    )
    try:
        _relay(line, _start_thread(trainer.fit), tune)
    finally:
        shutil.rmtree(records, ignore_errors=True)


def per_rank(job: TrialSpec) -> dict[str, float]:
    """A core, and a GPU where there are any."""
    return {"CPU": 1, "GPU": job.gpus} if job.gpus else {"CPU": 1}


class Trainer(TorchTrainer):
    """Ray's own, but for its cleaner: a process more a trial, for what orphans.py does."""

    def _create_default_callbacks(self) -> list[Any]:
        made = super()._create_default_callbacks()  # type: ignore[misc]
        return [c for c in made if not isinstance(c, PlacementGroupCleanerCallback)]


def _rank(settings: dict[str, Any]) -> None:
    """What each process of a trainer runs."""
    trial_id, config, job, course = settings["trial"]
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    torch.set_num_threads(job.threads or torch.get_num_threads())
    device = pick_device(config.run.device)
    if device.type == "cuda":
        device = ray.train.torch.get_device()
    seat = RankContext(ranks, device, ActorReporter(settings["line"], settings["pointer"]))
    try:
        Trial(trial_id, config, job, course, seat).run()
    except preemption.Preempted:
        return  # the driver was told


def _relay(line: Any, training: "Future[Any]", tune: Reporter) -> None:
    """Hand on what the ranks say until they end. Raises what ended them, if it was not their last word."""
    last: dict[str, Any] = {}
    while not any(last.get(ending) for ending in ENDINGS):
        said = ray.get(line.hear.remote(POLL_S))
        if said is None:
            if training.done():
                break
            continue
        last, pointer = said
        tune.report(last, pointer)
        ray.get(line.answer.remote())
    else:
        ray.get(line.leave.remote())
        wait_for([training], SHUTDOWN_S)
        if last.get("yielded"):
            raise preemption.Preempted
        return
    raise _cause(training.exception())


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
    return RuntimeError(_lines(error)[-1] if error else "its ranks ended without a last word")


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


def _backend(config: TrainConfig, job: TrialSpec) -> str:
    return "nccl" if job.gpus and config.run.device != "cpu" else "gloo"
