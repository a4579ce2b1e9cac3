"""The claim of a driver on its sweep: one driver at most works on a sweep, wherever drivers are started.

STORAGE/NAME/claims/000001.json, 000002.json, ... are each created by one atomic act of the storage; the
highest number names the owner. The next number may be claimed once the owner has ended or died. An owner
that finds a higher number writes nothing any more: the number is a fencing token (Burrows, 2006,
"sequencer"). What remains possible is a single write that was checked before the next claim, and reaches the
storage after it.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from datasets.parsing import build
from orchestrator.results.sweep_folder import CLAIMS
from orchestrator.storage import Storage

ALIVE = "alive.json"
LOST_AFTER_S = 60.0
"""Seconds without a new beat after which a driver on another machine is taken for dead: several missed writes
to a slow object store."""
MISSED = 3
"""Beats that a driver must miss before --status calls it dead."""


@dataclass(frozen=True)
class Beat:
    """A sign of life of a sweep's driver: its claim, or its last heartbeat."""

    host: str
    pid: int
    at: float
    """Seconds since 1970 by the driver's clock."""
    seconds: float
    """Time that the sweep ran, over all its drivers."""
    ended: bool
    claim: int = 0
    """Number of the driver's claim."""
    machine: str = ""
    """The table of processes that `pid` belongs to; see `this_machine`."""
    began: str = ""
    """Start of the process `pid`: a later process may get the same number."""
    every_s: float = 2.0
    """Seconds between beats."""
    progress: str = ""
    """Progress of the sweep, in words."""

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self))


def this_driver(**values: Any) -> Beat:
    """Return a beat of this process."""
    pid = os.getpid()
    beat = Beat(socket.gethostname(), pid, time.time(), seconds=0.0, ended=False)
    return replace(beat, machine=this_machine(), began=process_start(pid), **values)


def last_beat(storage: Storage, sweep: str) -> Beat | None:
    """Return the newest sign of life of a sweep's drivers; None if there is none.

    UserError if the file is damaged.
    """
    newest = _newest(storage, sweep, _claims(storage, sweep))
    beats = [b for b in (_read(storage, f"{sweep}/{ALIVE}"), newest) if b]
    return max(beats, key=lambda b: b.claim, default=None)  # of one claim, the beat is newer: it stands first


def _claims(storage: Storage, sweep: str) -> list[str]:
    """Return the names of the claims, in order; files that are still being written begin with a dot."""
    return [name for name in storage.listing(f"{sweep}/{CLAIMS}") if not name.startswith(".")]


def _newest(storage: Storage, sweep: str, names: list[str]) -> Beat | None:
    return _read(storage, f"{sweep}/{CLAIMS}/{names[-1]}") if names else None


def _read(storage: Storage, name: str) -> Beat | None:
    if not storage.exists(name):
        return None
    known = {f.name for f in fields(Beat)}
    plain = storage.read_json(name, keys=("host", "pid", "at", "seconds", "ended"))
    return build(Beat, {k: v for k, v in plain.items() if k in known}, storage.url(name))


def is_alive(storage: Storage, sweep: str, beat: Beat, patience_s: float) -> bool:
    """Return True if the driver of `beat` works on the sweep now.

    A driver of this machine is looked up by its process. Of another one, beats are compared with each other,
    never with this machine's clock: it is alive if its beat changes within `patience_s` seconds.
    """
    if beat.ended:
        return False
    if beat.machine == this_machine():
        return process_start(beat.pid) == beat.began != ""
    end = time.monotonic() + patience_s
    while True:
        latest = last_beat(storage, sweep)
        if latest is None or latest.ended:
            return False
        if latest != beat:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(min(0.5, patience_s))


def is_running(storage: Storage, sweep: str) -> bool:
    """Return True if a driver works on the sweep now; this answers at once unless its last beat looks old."""
    beat = last_beat(storage, sweep)
    if beat is None:
        return False
    patience = MISSED * beat.every_s
    if beat.machine != this_machine() and not beat.ended and 0 <= time.time() - beat.at < patience:
        return True
    return is_alive(storage, sweep, beat, patience)


@dataclass
class Claim:
    """The right of this process to write a sweep's files, as long as nobody has claimed the sweep since."""

    storage: Storage
    sweep: str
    number: int
    seconds_before: float
    """Time that the sweep ran under earlier drivers."""
    lost: bool = field(default=False, init=False)

    def check(self) -> None:
        """Raise Superseded if another driver has claimed the sweep since."""
        names = _claims(self.storage, self.sweep)
        if self.lost or not names or names[-1] != _name(self.number):
            self.lost = True
            owner = _newest(self.storage, self.sweep, names)
            by = f"process {owner.pid} on {owner.host}" if owner else "a driver that has removed it"
            raise Superseded(
                f"sweep '{self.sweep}' was taken over by {by}, because this driver had sent no sign of life "
                f"for {LOST_AFTER_S:g} s; this driver stops and has left the sweep to the other"
            )


class Superseded(UserError):
    """Another driver owns the sweep now."""


class OwnedStorage(Storage):
    """A storage in which a driver writes as long as it owns its sweep; UserError (Superseded) afterwards."""

    def __init__(self, storage: Storage, claim: Claim) -> None:
        vars(self).update(vars(storage))
        self.claim = claim

    def write_bytes(self, name: str, content: bytes) -> None:
        self.claim.check()
        super().write_bytes(name, content)

    def remove(self, name: str) -> None:
        self.claim.check()
        super().remove(name)

    def remove_file(self, name: str) -> None:
        self.claim.check()
        super().remove_file(name)


def claim_sweep(storage: Storage, sweep: str, say: Callable[[str], Any] = print) -> Claim:
    """Claim a sweep for this process.

    Raises:
        UserError: another driver works on it.
    """
    while True:
        last = last_beat(storage, sweep)
        if last is not None and not last.ended and last.machine != this_machine():
            say(
                f"the last driver of sweep '{sweep}' ran on {last.host}; watching for up to "
                f"{LOST_AFTER_S:g} s whether it still does"
            )
        if last is not None and is_alive(storage, sweep, last, LOST_AFTER_S):
            raise UserError(
                f"sweep '{sweep}' is running (process {last.pid} on {last.host}); stop it with "
                f"--stop {sweep}, or choose another --name"
            )
        number, seconds = (last.claim + 1, last.seconds) if last else (1, 0.0)
        every_s = beat_interval(storage)
        text = this_driver(claim=number, seconds=seconds, every_s=every_s).to_json()
        if storage.create(f"{sweep}/{CLAIMS}/{_name(number)}", text.encode()):
            return Claim(storage, sweep, number, seconds)


def beat_interval(storage: Storage) -> float:
    """Return the seconds between two beats: fewer requests to an object store, which charges for each."""
    return 2.0 if storage.is_local else 10.0


def _name(number: int) -> str:
    return f"{number:06d}.json"


@lru_cache
def this_machine() -> str:
    """Return a name of this process's table of processes; each container of a host has its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # macOS
        return socket.gethostname()


def process_start(pid: int) -> str:
    """Return the start time of a process as the system writes it; "" if there is no such process."""
    try:
        # after the name in parentheses: state, and 19 fields later the start in clock ticks since boot
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if words[0] == "Z" else words[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except (OSError, IndexError):
        return ""
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return " ".join(listed.stdout.split())
