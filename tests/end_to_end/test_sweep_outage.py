"""A sweep through an outage of its MLflow server, with a trial killed then, is recorded like a quiet one."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import pytest
from helpers.mlflow_server import Server, wait_for
from helpers.paths import ROOT

from orchestrator.tracking.server import database_path, default_uri

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]

OUTAGE_S = 60
SMALL = "--name s --trials 2 --confirm-top 1 --confirm-seeds 1 --run.psnr-steps 80 --run.gan-steps 48"
TRIAL = "ray::ImplicitFunc"  # what Ray calls the process of a trial
OF_THE_CLOCK = ("cost/", "data_wait_share")


def start(folder, uri):
    """A sweep on one core, so that trials run one after the other and the sampler sees the same history."""
    folder.mkdir()
    short = tempfile.mkdtemp(prefix="up")  # Ray's sockets lie below it: 107 characters are the limit
    command = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *SMALL.split(), "--local"]
    command += ["--storage", str(folder / "runs"), "--tracking-uri", uri]
    core = min(os.sched_getaffinity(0))
    with open(folder / "sweep.log", "wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": short, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )


def points(database):
    """[(run name, metric, step, value)] of everything but measured times."""
    rows = sqlite3.connect(database).execute(
        "SELECT runs.name, metrics.key, metrics.step, metrics.value FROM metrics JOIN runs USING (run_uuid)"
    )
    return sorted(row for row in rows.fetchall() if not any(word in row[1] for word in OF_THE_CLOCK))


def pauses(database):
    """Median, 95th percentile and longest time in ms between the reports of one trial: a wait would show."""
    rows = sqlite3.connect(database).execute(
        "SELECT DISTINCT run_uuid, timestamp FROM metrics WHERE key NOT LIKE 'cost/%'"
    )
    times: dict[str, list[int]] = {}
    for run, stamp in rows.fetchall():
        times.setdefault(run, []).append(stamp)
    gaps = sorted(b - a for t in times.values() for a, b in itertools.pairwise(sorted(set(t))))
    return gaps[len(gaps) // 2], gaps[int(0.95 * len(gaps))], gaps[-1]


def trials_of(sweep):
    """Process ids of the trials that a sweep's own Ray runs now."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, _ in lines}

    def belongs(pid):
        while pid in parents and pid != sweep.pid:
            pid = parents[pid]
        return pid == sweep.pid

    return [int(pid) for pid, _, what in lines if what.startswith(TRIAL) and belongs(int(pid))]


def test_a_sweep_through_an_outage_is_recorded_like_a_quiet_one(tmp_path):
    server = Server(tmp_path)
    server.start()
    quiet_uri = default_uri(tmp_path / "quiet")
    quiet = loud = None
    try:
        loud = start(tmp_path / "loud", server.uri)
        wait_for(lambda: points(server.database) or loud.poll() is not None, 240)
        assert loud.poll() is None, (tmp_path / "loud" / "sweep.log").read_text()[-2000:]
        server.kill()
        running: list[int] = []
        wait_for(lambda: running.extend(trials_of(loud)) or running, 120)
        os.kill(running[0], signal.SIGKILL)
        quiet = start(tmp_path / "quiet", quiet_uri)
        time.sleep(OUTAGE_S)
        assert "waiting" in (tmp_path / "loud/runs/s/record/spool/progress.json").read_text()
        server.start()
        for sweep, folder in ((loud, "loud"), (quiet, "quiet")):
            assert sweep.wait(400) == 0, (tmp_path / folder / "sweep.log").read_text()[-2000:]
    finally:
        server.kill()
        for sweep in (loud, quiet):
            if sweep and sweep.poll() is None:
                sweep.send_signal(signal.SIGINT)
                sweep.wait(60)
    for what, database in (("outage", server.database), ("quiet", database_path(quiet_uri))):
        print(f"{what}: %d, %d and %d ms between reports (median, 95 %%, longest)" % pauses(database))
    found, wanted = points(server.database), points(database_path(quiet_uri))
    assert len(wanted) > 100 and found == wanted
    assert len(found) == len({row[:3] for row in found})
