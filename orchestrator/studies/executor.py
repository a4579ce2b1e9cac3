"""Executors of a study's trainings: as Ray tasks, or one after another in this process."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol

from orchestrator.studies.training import TrainingJob, run_training

MAX_RETRIES = 3  # after a lost node or process; an error that a training raises is not retried


class Executor(Protocol):
    """Runs trainings by name; the driver polls it, because it relays their journals in the meantime."""

    def submit(self, name: str, job: TrainingJob) -> None:
        """Start a training."""

    def ended(self, timeout_s: float) -> set[str]:
        """Return the names of ended trainings without `result` yet, after at most `timeout_s`."""

    def result(self, name: str) -> None:
        """Forget an ended training; raise what it raised."""


class RayExecutor:
    """Each training is a Ray task; if its node is lost, another node resumes from the last checkpoint."""

    def __init__(self, gpus: float) -> None:
        import ray

        self.ray = ray
        self.task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=MAX_RETRIES)(run_training)
        self.refs: dict[str, Any] = {}

    def submit(self, name: str, job: TrainingJob) -> None:
        """Start a task."""
        self.refs[name] = self.task.remote(job)

    def ended(self, timeout_s: float) -> set[str]:
        """Return the names of ended tasks."""
        refs = list(self.refs.values())
        if not refs:
            return set()
        ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
        return {name for name, ref in self.refs.items() if ref in ready}

    def result(self, name: str) -> None:
        """Raise the training's own error in place of Ray's."""
        ref = self.refs.pop(name)
        try:
            self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None


class LocalExecutor:
    """Each training runs in a thread of this process, so that the driver can watch it."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.futures: dict[str, Future[None]] = {}

    def submit(self, name: str, job: TrainingJob) -> None:
        """Queue a training."""
        self.futures[name] = self.threads.submit(run_training, job)

    def ended(self, timeout_s: float) -> set[str]:
        """Return the names of ended trainings."""
        done, _ = wait(self.futures.values(), timeout_s, FIRST_COMPLETED)
        return {name for name, future in self.futures.items() if future in done}

    def result(self, name: str) -> None:
        """Raise what the training raised."""
        self.futures.pop(name).result()


@contextmanager
def open_executor(ray: bool, gpus: float, slots: int) -> Iterator[Executor]:
    """Yield an executor for `slots` trainings at once, each with `gpus`; `ray` needs a connection to Ray."""
    if ray:
        yield RayExecutor(gpus)
        return
    with ThreadPoolExecutor(slots) as threads:
        yield LocalExecutor(threads)
