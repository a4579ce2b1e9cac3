"""report.html: rewritten while a sweep runs, at first every ten seconds, and with the result at its end."""

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from orchestrator.report import build_report
from orchestrator.report.data import from_parts
from orchestrator.report.page import render_unfinished
from orchestrator.results.row import Row
from orchestrator.results.sweep_folder import FACTS, LEADERBOARD, REPORT
from orchestrator.storage import Storage
from orchestrator.sweep.claim import Superseded

EVERY_S = 60
EARLY_EVERY_S, EARLY_S = 10, 120.0
"""Seconds between two pages while a sweep is young, and how long it is young: someone may be watching."""
OPEN_WITHIN_S = 600.0


class LiveReport:
    """A thread that writes the report of a running sweep into its storage while the block runs.

    An unreachable or full storage is tried again a minute later. A block that ends by an exception leaves a
    page that says so; after any other, the caller writes the report with the result.
    """

    def __init__(
        self,
        storage: Storage,
        facts: Mapping[str, Any],
        ended: Mapping[str, Row],
        progress: Callable[[], str],
        say: Callable[[str], Any] = print,
        every_s: float = EVERY_S,
    ) -> None:
        """`ended` are the rows of trials that are over, by trial, and grow while the sweep runs.

        `progress` returns in words how far it has come; `say` prints a line.
        """
        self.storage, self.facts, self.ended = storage, facts, ended
        self.progress, self.say, self.every_s = progress, say, every_s
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> "LiveReport":
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()
        if kind is not None:
            self._write(f"Stopped: {self.progress()}", 0)

    def _repeat(self) -> None:
        first = began = time.monotonic()
        while True:
            early = began - first < EARLY_S
            if not self._write(f"Running: {self.progress()}", EARLY_EVERY_S if early else EVERY_S):
                return
            took = time.monotonic() - began  # of thousands of trials seconds, in which the driver waits
            pause = min(EARLY_EVERY_S, self.every_s) if early else self.every_s
            if self.over.wait(max(pause, 19 * took)):
                return
            began = time.monotonic()

    def _write(self, state: str, refresh_s: int) -> bool:
        """Write the page; return False if it cannot be written by this driver any more."""
        name = self.facts["name"]
        folder = Path(self.storage.root) / name  # without pictures nothing is read from it
        try:
            results = from_parts(folder, dict(self.facts), list(self.ended.values()))
            page = render_unfinished(results, state, refresh_s)
            self.storage.write_text(f"{name}/{REPORT}", page)
        except Superseded:
            return False
        except OSError:
            return True
        except Exception as error:  # the page is a courtesy: a fault in it must not end hours of training
            self.say(f"{REPORT} is not rewritten while the sweep runs: {type(error).__name__}: {error}")
            return False
        return True


def write_report(storage: Storage, folder: Path) -> Path:
    """Write report.html beside the rows; it is made locally and uploaded if the storage is remote."""
    name = folder.name
    if not storage.is_local:
        folder.mkdir(parents=True, exist_ok=True)
        for part in (LEADERBOARD, FACTS):
            (folder / part).write_text(storage.read_text(f"{name}/{part}"))
    report = build_report(folder)
    if not storage.is_local:
        storage.write_bytes(f"{name}/{REPORT}", report.read_bytes())
    return report


def open_report(storage: Storage, name: str, say: Callable[[str], Any] = print) -> threading.Thread:
    """Show the report of sweep `name` in a browser once it is written anew; without one, print its address.

    Returns the thread that waits for it.
    """
    address = storage.url(f"{name}/{REPORT}")
    began = time.time()

    def written() -> bool:
        path = Path(address)
        return not storage.is_local or path.is_file() and path.stat().st_mtime >= began - 1

    def wait_and_show() -> None:
        end = time.monotonic() + OPEN_WITHIN_S
        while not written():
            if time.monotonic() > end:
                return
            time.sleep(0.2)
        shown = storage.is_local and _has_display() and webbrowser.open(Path(address).as_uri())
        if not shown:
            say(f"report: {address} (rewritten as the sweep goes on)")

    thread = threading.Thread(target=wait_and_show, daemon=True)
    thread.start()
    return thread


def _has_display() -> bool:
    """Return True if a browser with a window can be there: one of text would take the sweep's terminal."""
    env = os.environ
    return sys.platform != "linux" or any(
        (env.get("DISPLAY"), env.get("WAYLAND_DISPLAY"), env.get("BROWSER"))
    )
