"""Tune's controller with three changes: reuse of workers, whole snapshots, slots that follow the nodes.

Workers: Tune itself ends a worker that raised (out of memory, a device error) before it retries the trial.
A trial that diverged reported finite values and returned, so Tune would hand its process, whose device may
hold values that are not finite, to the next trial. Here such a worker is ended too.

Snapshots: Tune copies a snapshot's files to the storage one after the other, and first some seconds after a
trial began. A driver killed at the wrong moment finds half a snapshot, or one without a trial that it
started. Here all files are one, written at once, and before any trial starts that it does not hold. On many
GPUs designs are drawn ahead, several with one snapshot. Tune keeps every trial that it ever ran and writes
all of them each time; here it forgets those that are over, whose rows are the stage's callback's.

Slots: Tune fixes at the start how many trials it draws ahead and runs at once. Nodes join and leave: too low
a number leaves new nodes idle; too high a number draws designs that wait while the sampler could learn. Here
the number is set again at each step.
"""

import hashlib
import io
import os
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.tune.experiment import Trial

from datasets.errors import UserError
from orchestrator.cluster import ray_private
from orchestrator.results.trial_report import Status, status_of
from orchestrator.storage import Storage

STATE_FILES = (
    "experiment_state-",
    "callback-states-",
    "searcher-state-",
    "search_gen_state-",
    "basic-variant-state-",  # of a list of designs: those that no slot was free for yet
)
SLOTS_PER_SPARE = 16
"""One spare design is drawn ahead for so many slots: with 800 there is a snapshot per 50 trials, and the
sampler lacks the results of at most 50. Fewer slots than this have no spare design."""
ENDED = 64
"""Trials that are over and not forgotten yet."""
SNAPSHOT_EVERY_S = 5.0
"""Seconds between snapshots, unless TUNE_GLOBAL_CHECKPOINT_S says otherwise: the most that a dead driver
loses; more if snapshots would take above a twentieth of the time."""
STATE_FILE = re.compile(rf"(?:{'|'.join(STATE_FILES)})[A-Za-z0-9_.-]+")
"""Names of the files in a snapshot; a name with / would be written elsewhere."""
TuneController: Any = ray_private.tune_controller()


class UpsweepTuneController(TuneController):
    """Tune's controller with the changes that the module describes."""

    keep: Callable[[bytes], None]
    """Stores a snapshot in one piece."""
    slots: Callable[[], int]
    """Returns how many trials may run at once now."""
    constructed = False
    _next_snapshot = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type(self).constructed = True

    def step(self) -> None:
        self._set_slots(type(self).slots())
        super().step()

    def _set_slots(self, slots: int) -> None:
        self._slots = self._max_pending_trials = slots
        # a sampler is wrapped in SearchGenerator(ConcurrencyLimiter(...)); a list of designs limits itself
        limiter: Any = getattr(self._search_alg, "searcher", self._search_alg)
        limiter.max_concurrent = slots + slots // SLOTS_PER_SPARE

    def _maybe_cache_trial_actor(self, trial: Trial) -> bool:
        diverged = status_of(trial.last_result) is Status.DIVERGED
        return not diverged and super()._maybe_cache_trial_actor(trial)

    def _maybe_update_trial_queue(self) -> None:
        unfinished = len(self._pending_trials) + len(self._running_trials) + len(self._paused_trials)
        if unfinished > self._slots:
            return  # a spare design waits
        before = len(self._trials)
        super()._maybe_update_trial_queue()
        # without a snapshot of them, a resumed driver would draw and pay for them again
        if len(self._trials) > before:
            self.save_to_dir()

    def checkpoint(self, force: bool = False, wait: bool = False) -> None:
        """Keep a snapshot if it is time; Tune would also copy its folders, one for each trial ever begun.

        At the end, when it is forced, Tune does so once: its results are read from there.
        """
        if force:
            super().checkpoint(force, wait)
        elif time.monotonic() >= self._next_snapshot:
            self.save_to_dir()

    def save_to_dir(self) -> None:
        began = time.monotonic()
        self._forget_ended()
        super().save_to_dir()
        assert self._storage is not None  # set by its constructor
        type(self).keep(pack_snapshot(Path(self._storage.experiment_driver_staging_path)))
        period = float(os.environ.get("TUNE_GLOBAL_CHECKPOINT_S", SNAPSHOT_EVERY_S))
        self._next_snapshot = time.monotonic() + max(period, 19 * (time.monotonic() - began))

    def _forget_ended(self) -> None:
        """Remove the trials that are over from Tune's lists, but for the newest few."""
        if len(self._stopped_trials) <= 2 * ENDED:
            return
        ended = [trial for trial in self._trials if trial in self._stopped_trials][:-ENDED]
        self._stopped_trials.difference_update(ended)
        self._trials_to_cache.difference_update(ended)
        for trial in ended:
            self._trial_metadata.pop(trial.trial_id, None)
        forgotten = set(ended)
        self._trials[:] = [trial for trial in self._trials if trial not in forgotten]


@contextmanager
def using_upsweep_controller(keep: Callable[[bytes], None], slots: Callable[[], int]) -> Iterator[None]:
    """Make Tuner.fit use UpsweepTuneController within the block.

    Raises:
        RuntimeError: the block ended, but Ray constructed another controller: snapshots would not be whole.
    """

    class Controller(UpsweepTuneController):
        pass

    Controller.keep = staticmethod(keep)  # type: ignore[assignment]
    Controller.slots = staticmethod(slots)  # type: ignore[assignment]
    with ray_private.using_tune_controller(Controller):
        yield
    if not Controller.constructed:
        raise RuntimeError(
            f"Ray {ray.__version__} no longer takes its controller from ray.tune.tune.TuneController; "
            f"install the Ray of constraints.txt"
        )


def pack_snapshot(folder: Path) -> bytes:
    """Return the newest of each kind of file that makes a snapshot, as one tar behind its SHA-256."""
    content = io.BytesIO()
    # one pass: the folder has a folder of each trial, too. Names end with the session's time
    names = sorted(name for name in os.listdir(folder) if name.startswith(STATE_FILES))
    newest = {prefix: name for name in names for prefix in STATE_FILES if name.startswith(prefix)}
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in newest.values():
            tar.add(folder / name, arcname=name)
    tar_bytes = content.getvalue()
    return hashlib.sha256(tar_bytes).hexdigest().encode() + b"\n" + tar_bytes


def unpack_snapshot(snapshot: bytes, place: str) -> dict[str, bytes]:
    """Return name -> content of each file of a snapshot; UserError, naming `place`, if it is damaged."""
    digest, _, tar_bytes = snapshot.partition(b"\n")
    if hashlib.sha256(tar_bytes).hexdigest().encode() != digest:
        raise UserError(
            f"{place} is damaged, and without it the trials of its stage would be lost; restore it from a "
            f"copy, or start the sweep under another --name: its warm starts are used again"
        )
    with tarfile.open(fileobj=io.BytesIO(tar_bytes)) as tar:
        files = {m.name: tar.extractfile(m) for m in tar.getmembers() if STATE_FILE.fullmatch(m.name)}
        return {name: file.read() for name, file in files.items() if file is not None}


def restore_snapshot(storage: Storage, snapshot: str, folder: str) -> bool:
    """Replace the state files in the storage's `folder` by those of `snapshot`; False if there is none.

    UserError if the snapshot is damaged; nothing is deleted then.
    """
    if not storage.exists(snapshot):
        return False
    files = unpack_snapshot(storage.read_bytes(snapshot), storage.url(snapshot))
    for name, content in files.items():
        storage.write_bytes(f"{folder}/{name}", content)
    for name in storage.listing(folder):
        if name.startswith(STATE_FILES) and name not in files:
            storage.remove_file(f"{folder}/{name}")
    return True
