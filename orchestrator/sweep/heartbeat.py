"""The heartbeat of a sweep in its storage, which tells if it runs, and the marker that asks it to stop.

Any shell that reaches the storage can read the one and write the other; nothing listens on a port.
"""

import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from datasets.errors import UserError
from orchestrator.storage import Storage

ALIVE, STOP = "alive.json", "stop.json"
LOST_AFTER_S = 60.0  # without a beat: several missed writes to a slow object store


@dataclass(frozen=True)
class Beat:
    """The last heartbeat of a sweep's driver."""

    host: str
    pid: int
    at: float
    """Seconds since 1970."""
    seconds: float
    """Time that the sweep ran, over all its drivers."""
    ended: bool

    def alive(self) -> bool:
        """Return True if the driver runs now: its heartbeat is recent and, if local, its process exists."""
        if self.ended or time.time() - self.at > LOST_AFTER_S:
            return False
        return self.host != socket.gethostname() or _exists(self.pid)


def last_beat(storage: Storage, sweep: str) -> Beat | None:
    """Return the last heartbeat of a sweep; None if there is none."""
    name = f"{sweep}/{ALIVE}"
    return Beat(**json.loads(storage.read_text(name))) if storage.exists(name) else None


def is_running(storage: Storage, sweep: str) -> bool:
    """Return True if a driver works on that sweep now."""
    beat = last_beat(storage, sweep)
    return beat is not None and beat.alive()


def ensure_not_running(storage: Storage, sweep: str) -> None:
    """Raise UserError if the sweep to resume is running: two drivers would write the same files."""
    beat = last_beat(storage, sweep)
    if beat is not None and beat.alive():
        raise UserError(
            f"sweep '{sweep}' is running (process {beat.pid} on {beat.host}); stop it with --stop {sweep}"
        )


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
    """A thread that writes heartbeats and looks for the stop marker while the block runs."""

    def __init__(self, storage: Storage, sweep: str) -> None:
        self.storage, self.sweep = storage, sweep
        self.every_s = 2.0 if storage.is_local else 10.0
        before = last_beat(storage, sweep)
        self.before = before.seconds if before else 0.0
        self.began = time.monotonic()
        self.over, self.ignore_stop = threading.Event(), False
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        if self.storage.exists(f"{self.sweep}/{STOP}"):
            self.storage.remove_file(f"{self.sweep}/{STOP}")  # it was for an earlier driver
        self._write(ended=False)
        self.thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.over.set()
        self.thread.join()
        self._write(ended=True)

    def seconds(self) -> float:
        """Return how long this sweep has run, over all its drivers; not the time between them."""
        return self.before + time.monotonic() - self.began

    def ignore_stop_requests(self) -> None:
        """Ignore stop requests from here on; only the final files remain to be written."""
        self.ignore_stop = True

    def _beat(self) -> None:
        while not self.over.wait(self.every_s):
            try:
                self._write(ended=False)
                if not self.ignore_stop and self.storage.exists(f"{self.sweep}/{STOP}"):
                    self.ignore_stop = True
                    os.kill(os.getpid(), signal.SIGINT)  # stops in good order, whatever stage this is
            except OSError:
                continue  # a storage that is away for a moment

    def _write(self, ended: bool) -> None:
        beat = Beat(socket.gethostname(), os.getpid(), time.time(), self.seconds(), ended)
        self.storage.write_text(f"{self.sweep}/{ALIVE}", json.dumps(vars(beat)))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
