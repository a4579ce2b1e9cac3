"""Where the trainings of a study run: as Ray tasks, or one after another in this process."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from orchestrator.studies.training import TrainingJob, run_training

MAX_RETRIES = 3  # of the machine; what the training itself raises is never retried


class Pool(Protocol):
    """What the driver needs of either."""

    def submit(self, name: str, job: TrainingJob) -> None:
        """Begin a training."""

    def ended(self, timeout_s: float) -> set[str]:
        """Names of those that ended and were not asked for yet, after waiting a little."""

    def result(self, name: str) -> None:
        """Nothing, or what the training raised."""


class RayPool:
    """Each training is a Ray task; a node that dies costs what came after its last checkpoint."""

    def __init__(self, gpus: float) -> None:
        import ray

        self.ray = ray
        self.task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=MAX_RETRIES)(run_training)
        self.refs: dict[str, Any] = {}

    def submit(self, name: str, job: TrainingJob) -> None:
        """Begin a training."""
        self.refs[name] = self.task.remote(job)

    def ended(self, timeout_s: float) -> set[str]:
        """As Pool has it."""
        refs = list(self.refs.values())
        if not refs:
            return set()
        ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
        return {name for name, ref in self.refs.items() if ref in ready}

    def result(self, name: str) -> None:
        """What the task raised, as itself."""
        ref = self.refs.pop(name)
        try:
            self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None


class LocalPool:
    """One training at a time in a thread of this process, so that the driver can watch it."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.futures: dict[str, Future[None]] = {}

    def submit(self, name: str, job: TrainingJob) -> None:
        """Begin a training."""
        self.futures[name] = self.threads.submit(run_training, job)

    def ended(self, timeout_s: float) -> set[str]:
        """As Pool has it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if done := {name for name, future in self.futures.items() if future.done()}:
                return done
            time.sleep(0.02)
        return set()

    def result(self, name: str) -> None:
        """What the training raised."""
        self.futures.pop(name).result()


@contextmanager
def open_pool(ray: bool, has_gpus: bool, gpus_per_run: float, slots: int) -> Iterator[Pool]:
    """The pool for `slots` trainings at once; Ray must be connected where it is asked for."""
    if ray:
        yield RayPool(gpus_per_run if has_gpus else 0)
        return
    with ThreadPoolExecutor(slots) as threads:
        yield LocalPool(threads)
