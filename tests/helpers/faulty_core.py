"""Tests that failed on a core that divides wrongly run again, in a process of their own and on sound cores.

Such a core (datasets/arithmetic.py) made a dozen tests of one process fail that fail nowhere else. It comes
and goes within seconds, and what a process or a fixture computed on it stays wrong; so a watcher beside the
tests notes each time that one is seen, and a new process decides. For no other reason does a test run again.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from datasets.arithmetic import faulty_cores

NAME = "faulty core"
"""Name of the property of a test that ran again."""
SEEN, DECIDES = "UPSWEEP_TESTS_FAULTY_CORE", "UPSWEEP_TESTS_RERUN"
"""Variables of the environment: the watcher's file, and that this process runs a failed test again."""
PAUSE_S, SOUND_S, WAIT_S = 0.2, 2.0, 60.0
"""Seconds between two looks; without a fault before a test runs again; waited for them at most."""


def start_watcher() -> None:
    """Note in a file when and where a core divides wrongly, until this process ends (Linux)."""
    if not hasattr(os, "sched_getaffinity"):
        return
    folder = tempfile.mkdtemp(prefix="upsweep-cores-")
    os.environ[SEEN] = str(Path(folder) / "seen")
    watcher = subprocess.Popen([sys.executable, __file__, os.environ[SEEN], str(os.getpid())])
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(watcher.wait)
    atexit.register(watcher.terminate)


def watch(seen: Path, parent: int) -> None:
    """Write the cores that divide wrongly to `seen`, each time that one does, while `parent` lives."""
    while os.getppid() == parent:
        if cores := faulty_cores():
            seen.write_text(", ".join(map(str, cores)))
        time.sleep(PAUSE_S)


def seen_cores() -> str:
    """Return the cores seen last to divide wrongly in this run of the tests; empty if none was."""
    file = Path(os.environ.get(SEEN, ""))
    return file.read_text() if file.is_file() else ""


def sound_cores() -> set[int]:
    """Return the cores that divide rightly for SOUND_S; all if each is seen to divide wrongly for WAIT_S."""
    own = os.sched_getaffinity(0)
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        faulty: set[int] = set()
        until = time.monotonic() + SOUND_S
        while time.monotonic() < until:
            faulty.update(faulty_cores())
            time.sleep(PAUSE_S / 10)
        if own - faulty:
            return own - faulty
    return own


def passes_elsewhere(item: pytest.Item) -> bool:
    """Return True if the test passes in a new process on sound cores."""
    python = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", item.nodeid]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {DECIDES: "1"}
    command = ["taskset", "-c", ",".join(map(str, sorted(sound_cores()))), *python]
    done = subprocess.run(command, cwd=item.config.rootpath, env=environment, capture_output=True)
    return done.returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test; if it fails and a faulty core was seen, up to three new processes may say otherwise."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports) and DECIDES not in os.environ and (cores := seen_cores()):
        passed = any(passes_elsewhere(item) for _ in range(3))
        for report in reports:
            report.user_properties.append((NAME, f"failed after CPU core {cores} had divided wrongly"))
            if passed and report.failed:
                report.outcome, report.longrepr = "passed", None
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tests that ran again."""
    reports = [r for kind in ("", "passed", "failed", "error") for r in terminalreporter.stats.get(kind, ())]
    lines = [
        f"run again: {report.nodeid} {text}"
        for report in reports
        for name, text in getattr(report, "user_properties", ())  # a file that cannot be read has none
        if name == NAME
    ]
    for line in dict.fromkeys(lines):
        terminalreporter.write_line(line)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
