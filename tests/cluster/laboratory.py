"""What stories of the laboratory share: its machines, commands on the laptop, and events waited for."""

import os
import subprocess
import time
from contextlib import contextmanager

import pytest
from cluster import bucket, fence, lab, own_yaml
from helpers.own_code import CODE

SHARED = lab.DISK / "shared"
RUNS = SHARED / "runs"
WORKERS = ("h2", "h3")
SWEEP = "python experiments/sweep.py"
SPACE = """
from orchestrator.search.space import LogFloat, Space

Mine = Space("mine", {"loss.adversarial_weight": LogFloat(0.03, 0.5)})
"""


@contextmanager
def machines():
    """Start laptop and three hosts; the project's own cluster file is on the laptop.

    With UPSWEEP_LAB=keep a laboratory that is up is used and left up, to go on with one test.
    """
    fence.need_namespaces(*lab.TOOLS)
    keep = os.environ.get("UPSWEEP_LAB") == "keep"
    if keep and lab.hosts():
        yield
        return
    lab.down()
    lab.EXPORTS[:] = bucket.EXPORTS
    server = None
    try:
        lab.up(3)
        server = bucket.serve()
        workers = [lab.address(h) for h in WORKERS]
        _furnish(own_yaml.for_lab(lab.ROOT / "cluster.yaml", lab.address("h1"), workers, bucket.URL))
        yield
    finally:
        lab.EXPORTS.clear()
        if not keep:
            lab.down()
            if server is not None:
                server.wait(30)


def _furnish(cluster_file):
    """Put on the laptop what a user has beside the checkout: a cluster file, a space, own code."""
    (SHARED / "cluster.yaml").write_text(cluster_file)
    (SHARED / "mine.py").write_text(SPACE)
    (SHARED / "own.py").write_text(CODE)
    lab.execute("laptop", "mkdir elsewhere && mv /shared/*.py elsewhere/ && mv /shared/cluster.yaml upsweep/")


def up():
    """Start Ray on the three hosts as a user does."""
    laptop("RAY_UP_enable_autoscaler_v2=0 ray up -y cluster.yaml")
    assert "3 of 3 nodes alive" in alive(3)


def laptop(command, timeout=600, check=True):
    """Run a command in the laptop's checkout; return what it printed."""
    return lab.execute("laptop", f"cd upsweep && {command}", timeout, check)


def start(command, host="laptop", folder="upsweep"):
    """Start a command and do not wait for it."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    return lab.start(host, f"cd {folder} && {command}", **streams)


def ended(process, timeout=600):
    """Wait for the end of a process; return what it printed."""
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
        pytest.fail(f"still running after {timeout} s:\n{text}")
    return text


def until(found, what, timeout=400):
    """Return the first true answer of `found()`: an event waited for, with a limit."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.2)
    return answer


def alive(count):
    """Wait until Ray counts so many nodes."""
    return laptop(f"python experiments/cluster.py wait --nodes {count} --deadline-s 240")
