"""Processes to be killed with -9: forks of one process that has imported everything, so each is cheap."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NURSERY = """
import os, sys
{imports}
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act(*words)
            status = 0
        except SystemExit as end:
            status = end.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Nursery:
    """Starts processes that call `act` with words, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, *words: str) -> int:
        """Start a process; return its number."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill_one(self, *words: str, after_s: float) -> None:
        """Start a process and kill it after `after_s` seconds; only its own good end may come first."""
        pid = self.start(*words)
        time.sleep(after_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        assert self.wait() in (0, -9)

    def seconds(self, *words: str) -> float:
        """Return how long a process takes that nobody kills."""
        began = time.monotonic()
        self.start(*words)
        assert self.wait() == 0
        return time.monotonic() - began

    def wait(self) -> int:
        """Return the exit status of the process that was started last; -9 if it was killed."""
        assert self.process.stdout
        return int(self.process.stdout.readline())


@contextmanager
def nursery(code: str) -> Iterator[Nursery]:
    """Yield a nursery of processes that run the function `act` of `code`."""
    source = NURSERY.format(imports=textwrap.dedent(code))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", source], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield Nursery(process)
        assert process.stdin
        process.stdin.close()
