"""Which workers are used again: all but those in which a trial diverged.

A worker that raised (out of memory, an error of its device) is ended by Tune itself before the trial is
tried again. One that diverged reported finite values and returned, so Tune would hand its process, with
whatever not-finite state its device holds, to the next trial.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import ray.tune.tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial


class CarefulController(TuneController):
    """Tune's own, but for who may be kept for the next trial."""

    def _maybe_cache_trial_actor(self, trial: Trial) -> bool:
        return not trial.last_result.get("diverged") and super()._maybe_cache_trial_actor(trial)


@contextmanager
def careful_actors() -> Iterator[None]:
    """Tuner.fit within this block ends workers as said above; Tune has no public way to ask for that."""
    usual = ray.tune.tune.TuneController
    ray.tune.tune.TuneController = CarefulController  # type: ignore[misc]
    try:
        yield
    finally:
        ray.tune.tune.TuneController = usual  # type: ignore[misc]
