"""Tune's controller with three habits of our own: whom it uses again, that its snapshots are whole, and that
it runs as many trials at once as there is room for now.

A worker that raised (out of memory, an error of its device) is ended by Tune itself before the trial is
tried again. One that diverged reported finite values and returned, so Tune would hand its process, with
whatever not-finite state its device holds, to the next trial.

Tune copies a snapshot's files to the storage one after the other and first some seconds after a trial began,
so a driver killed at the wrong moment finds half of one, or none that knows a trial it has started. Here all
of them are one file, written at once, and before any trial starts that it does not hold.

Tune settles at the start how many trials it draws ahead and runs at once. Nodes join and leave: with too low
a number new ones stand idle, with too high a one designs are drawn that wait while the sampler could learn.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.tune.tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from orchestrator.results.trial_report import Status, status_of
from orchestrator.storage import Storage

STATE_FILES = ("experiment_state-", "searcher-state-", "search_gen_state-", "callback-states-")


class UpsweepTuneController(TuneController):
    """Tune's own, but for what the module says."""

    keep: Callable[[bytes], None]
    """Takes a snapshot in one piece."""
    slots: Callable[[], int]
    """How many trials may run at once now."""

    def step(self) -> None:
        self._make_room(type(self).slots())
        super().step()

    def _make_room(self, slots: int) -> None:
        self._max_pending_trials = slots
        # a sampler stands behind SearchGenerator(ConcurrencyLimiter(...)), a list of designs counts itself
        limiter: Any = getattr(self._search_alg, "searcher", self._search_alg)
        limiter.max_concurrent = slots

    def _maybe_cache_trial_actor(self, trial: Trial) -> bool:
        diverged = status_of(trial.last_result) is Status.DIVERGED
        return not diverged and super()._maybe_cache_trial_actor(trial)

    def _update_trial_queue(self, blocking: bool = False, timeout: int = 600) -> bool:
        added = super()._update_trial_queue(blocking, timeout)
        if added:  # a trial that nobody remembers would be drawn, recorded and paid for again
            self.save_to_dir()
        return added

    def save_to_dir(self) -> None:
        super().save_to_dir()
        assert self._storage is not None  # set by its constructor
        type(self).keep(pack_snapshot(Path(self._storage.experiment_driver_staging_path)))


@contextmanager
def using_upsweep_controller(keep: Callable[[bytes], None], slots: Callable[[], int]) -> Iterator[None]:
    """Tuner.fit within this block uses it; Tune has no public way to ask for one's own."""

    class Controller(UpsweepTuneController):
        pass

    Controller.keep = staticmethod(keep)  # type: ignore[assignment]
    Controller.slots = staticmethod(slots)  # type: ignore[assignment]
    usual = ray.tune.tune.TuneController
    ray.tune.tune.TuneController = Controller  # type: ignore[misc]
    try:
        yield
    finally:
        ray.tune.tune.TuneController = usual  # type: ignore[misc]


def pack_snapshot(folder: Path) -> bytes:
    """The newest of each of the files that make a snapshot, as one."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for prefix in STATE_FILES:
            found = sorted(folder.glob(f"{prefix}*"))  # the names end with their session's time
            if found:
                tar.add(found[-1], arcname=found[-1].name)
    return content.getvalue()


def restore_snapshot(storage: Storage, snapshot: str, folder: str) -> bool:
    """Make the storage's `folder` hold the files of `snapshot` and no others of their kind.

    False where there is no snapshot: then no trial had been started.
    """
    if not storage.exists(snapshot):
        return False
    for name in storage.listing(folder):
        if name.startswith(STATE_FILES):
            storage.remove_file(f"{folder}/{name}")
    with tarfile.open(fileobj=io.BytesIO(storage.read_bytes(snapshot))) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            if content is not None and member.name.startswith(STATE_FILES):
                storage.write_bytes(f"{folder}/{member.name}", content.read())
    return True
