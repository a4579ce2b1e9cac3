"""Executors of a study's trainings: as Ray tasks, or one after another in this process.

A training whose node is lost resumes from its last checkpoint on another node.
"""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from orchestrator.cluster.tasks import TaskPool
from orchestrator.studies.training import TrainingJob, run_training


class LocalExecutor:
    """The methods of TaskPool for threads of this process: the driver watches trainings in the meantime."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.futures: dict[str, Future[None]] = {}

    def submit(self, name: str, job: TrainingJob) -> None:
        """Queue a training."""
        self.futures[name] = self.threads.submit(run_training, job)

    def ended(self, timeout_s: float) -> set[str]:
        """Return the names of ended trainings without `result` yet, after at most `timeout_s`."""
        done, _ = wait(self.futures.values(), timeout_s, FIRST_COMPLETED)
        return {name for name, future in self.futures.items() if future in done}

    def result(self, name: str) -> None:
        """Forget an ended training; raise what it raised."""
        self.futures.pop(name).result()


@contextmanager
def open_executor(ray: bool, gpus: float, slots: int) -> Iterator[TaskPool | LocalExecutor]:
    """Yield an executor for `slots` trainings at once, each with `gpus`; with `ray` Ray must be connected."""
    if ray:
        yield TaskPool(run_training, gpus=gpus)
        return
    with ThreadPoolExecutor(slots) as threads:
        yield LocalExecutor(threads)
