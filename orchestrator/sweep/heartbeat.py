"""The heartbeat of a sweep in its storage, and the marker that asks its driver to stop.

Any shell that reaches the storage can read the one and write the other; nothing listens on a port.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from datasets import stopping
from datasets.errors import UserError
from orchestrator.results import sweep_folder
from orchestrator.storage import Storage
from orchestrator.sweep.claim import (
    ALIVE,
    OwnedStorage,
    Superseded,
    beat_interval,
    claim_sweep,
    is_running,
    this_driver,
)

STOP = "stop.json"


def request_stop(storage: Storage, sweep: str, wait_s: float = 120.0) -> bool:
    """Ask the driver to stop as after Ctrl-C, and wait; return False if it has not stopped after `wait_s`.

    Raises:
        UserError: the sweep does not run.
    """
    if not is_running(storage, sweep):
        raise UserError(f"sweep '{sweep}' is not running, so there is nothing to stop")
    storage.write_text(f"{sweep}/{STOP}", json.dumps({"at": time.time()}))
    end = time.monotonic() + wait_s
    while is_running(storage, sweep):
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


class Heartbeat:
    """A context manager that claims a sweep for this process and writes heartbeats in a thread.

    The thread also looks for the stop marker. UserError if another driver holds the sweep. On exit all files
    of a sweep are deleted that wrote no sweep.json.
    """

    def __init__(
        self, storage: Storage, sweep: str, say: Callable[[str], Any] = print, began: float | None = None
    ) -> None:
        """`began` is when the command began, by time.monotonic; now, if it is not known."""
        self.sweep, self.say, self.unowned = sweep, say, storage
        self.every_s = beat_interval(storage)
        self.began = time.monotonic() if began is None else began
        self.over, self.ignore_stop = threading.Event(), False
        self.progress: Callable[[], str] = lambda: ""
        """Returns the progress of the sweep in words, which each heartbeat contains."""
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        self.claim = claim_sweep(self.unowned, self.sweep, self.say)
        self.storage = OwnedStorage(self.unowned, self.claim)
        """The storage, in which nothing is written any more once another driver owns the sweep."""
        if self.storage.exists(f"{self.sweep}/{STOP}"):
            self.storage.remove_file(f"{self.sweep}/{STOP}")  # it was for an earlier driver
        self._write(ended=False)
        self.thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.over.set()
        self.thread.join()
        with suppress(Superseded, OSError):  # a driver that cannot say that it ended is found to be dead
            if sweep_folder.exists(self.storage, self.sweep):
                self._write(ended=True)
            else:
                self.storage.remove(self.sweep)

    def seconds(self) -> float:
        """Return how long this sweep has run, over all its drivers; not the time between them."""
        return self.claim.seconds_before + time.monotonic() - self.began

    def ignore_stop_requests(self) -> None:
        """Ignore stop requests from here on; only the final files remain to be written."""
        self.ignore_stop = True

    def _beat(self) -> None:
        while not self.over.wait(self.every_s):
            try:
                self._write(ended=False)
                if not self.ignore_stop and self.storage.exists(f"{self.sweep}/{STOP}"):
                    self.ignore_stop = True
                    stopping.interrupt()  # stops cleanly, whatever stage this is
            except Superseded:
                stopping.interrupt()  # what it would write on stopping is refused
                return
            except OSError:
                continue  # a storage that is unreachable for a moment

    def _write(self, ended: bool) -> None:
        told = ""
        with suppress(Exception):  # a fault in these words must not end the beats
            told = "" if ended else self.progress()
        beat = this_driver(
            claim=self.claim.number, seconds=self.seconds(), ended=ended, every_s=self.every_s, progress=told
        )
        self.storage.write_text(f"{self.sweep}/{ALIVE}", beat.to_json())
