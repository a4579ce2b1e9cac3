"""Functions as Ray tasks: one core and a share of a GPU each, retried if their node dies.

Ray must be connected (orchestrator/cluster/connect.py). What a function itself raises is never retried.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

RETRIES = 3
"""Times that a task starts again after its node or its process died."""
Result = TypeVar("Result")


def run_tasks(
    function: Callable[..., Result], arguments: Iterable[Sequence[Any]], *, gpus: float = 0.0
) -> list[Result]:
    """Call `function` with each element of `arguments` in a task; return the results in that order.

    `gpus` is the share of a GPU per task. Raises: what a call raised, the first in order.
    """
    pool = TaskPool(function, gpus=gpus)
    names = []
    for number, values in enumerate(arguments):
        names.append(str(number))
        pool.submit(names[-1], *values)
    return [pool.result(name) for name in names]


class TaskPool:
    """Named tasks of one function, for a driver that acts on each result as it arrives."""

    def __init__(self, function: Callable[..., Any], *, gpus: float = 0.0) -> None:
        """`gpus` is the share of a GPU per task; Ray starts a task when a core and that share are free."""
        import ray

        self._ray = ray
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(function)
        self._refs: dict[str, Any] = {}

    def submit(self, name: str, *arguments: Any) -> None:
        """Queue a call of the function under `name`."""
        self._refs[name] = self._task.remote(*arguments)

    def ended(self, timeout_s: float) -> set[str]:
        """Return the names of ended tasks whose result was not asked for; wait `timeout_s` at most."""
        refs = list(self._refs.values())
        if not refs:
            return set()
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
        return {name for name, ref in self._refs.items() if ref in ready}

    def result(self, name: str) -> Any:
        """Wait for the task, remove it from the pool and return its result.

        Raises: what the function raised, as itself, with the worker's traceback as its cause.
        """
        ref = self._refs.pop(name)
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
