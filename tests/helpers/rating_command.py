"""The rating command as a process of its own."""

import re
import signal
import subprocess
import sys

from helpers.paths import ROOT


def start(folder):
    """The script serving `folder`/study on a free port: (process, port)."""
    command = [
        sys.executable,
        str(ROOT / "experiments/rate.py"),
        "--out",
        str(folder / "study"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
            return process, int(found[1])
    raise AssertionError(f"the page did not start: exit code {process.wait()}")


def stop(process):
    """Ctrl-C; what the script said after it."""
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    return process.returncode, said
