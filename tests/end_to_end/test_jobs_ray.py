"""One sweep at every door: a job API over TLS, KubeRay's entry, Slurm's batch file; all equal a local one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from helpers import small_sweep
from helpers.job_api import TOKEN, certificate
from helpers.paths import ROOT
from helpers.ray_head import BIN, OTHER, RayHead, tls_before
from helpers.slurm import Slurm
from helpers.two_nodes import SETTINGS, below

from orchestrator.cluster import bundle

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]

SMALL = [*small_sweep.SMALL, "--sampler", "random", "--stopping", "none"]
"""Its trials neither depend on one another nor on their order: every place gives the same numbers."""


def measured(storage):
    """Return settings, seed and metrics of each row, without those of the clock, by stage and design."""
    rows = json.loads((storage / "small" / "leaderboard.json").read_text())
    rows.sort(key=lambda r: (r["stage"], r["seed"], r["design"], r["trial_id"]))
    for row in rows:
        row["metrics"].pop("data_wait_share", None)
    return [{"stage": r["stage"], "seed": r["seed"]} | r["config"] | r["metrics"] for r in rows]


def differences(ours, theirs):
    """Return the names and both values of what differs between two lists of rows."""
    assert [r["stage"] for r in ours] == [r["stage"] for r in theirs]
    pairs = list(zip(ours, theirs, strict=True))
    return [(a["stage"], n, a.get(n), b.get(n)) for a, b in pairs for n in a | b if a.get(n) != b.get(n)]


class Laptop:
    """A machine without a cluster of its own: a folder, and the environment of its commands."""

    def __init__(self, folder, tls):
        self.folder, self.storage, self.tls = Path(folder), Path(folder) / "store", tls
        self.env = {name: value for name, value in os.environ.items() if name not in OTHER}
        self.env |= {
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        self.env |= {"RAY_AUTH_TOKEN": TOKEN, "REQUESTS_CA_BUNDLE": str(tls[0])}

    def sweep(self, *words, storage=None, code=0, **env):
        line = [sys.executable, str(ROOT / "experiments" / "sweep.py"), *words]
        line += ["--storage", str(storage or self.storage)]
        done = subprocess.run(line, env=self.env | env, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def until_it_trains(self, process=None):
        """Wait for the first checkpoint of a screened design."""
        end = time.monotonic() + 400
        while not list(self.storage.glob("small/trials/screen-*/attempt-*/*/manifest.json")):
            assert time.monotonic() < end and (process is None or process.poll() is None)
            time.sleep(0.2)


@pytest.fixture
def laptop():
    folder = Path(tempfile.mkdtemp(prefix="up"))
    yield Laptop(folder, certificate(folder))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def local():
    """What a sweep on this machine alone measures."""
    folder = Path(tempfile.mkdtemp(prefix="up"))
    laptop = Laptop(folder, certificate(folder))
    laptop.sweep("--name", "small", *SMALL, "--local")
    yield measured(laptop.storage)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_sweep_at_a_url_is_detached_stopped_resumed_and_equals_a_local_one(laptop, local):
    head = RayHead(laptop.folder, cpus=1)
    try:
        with tls_before(head, laptop.tls) as url:
            wrong = laptop.sweep("--jobs", url, "--status", "x", code=2, RAY_AUTH_TOKEN="of another cluster")
            assert "refuses the token or headers of this machine" in wrong
            said = laptop.sweep("--name", "small", *SMALL, "--detach", RAY_API_SERVER_ADDRESS=url)
            assert f"Ray at {url} (Ray " in said and "submitted as upsweep-" in said
            laptop.until_it_trains()
            assert "sweep 'small' stopped; resume it" in laptop.sweep("--jobs", url, "--stop", "small")
            assert "interrupted" in laptop.sweep("--jobs", url, "--status", "small")
            said = laptop.sweep("--jobs", url, "--resume", "small")
            assert "copied here: runs/small/report.html" in said and "pick: " in said
            assert (laptop.folder / "runs" / "small" / "report.html").stat().st_size > 10_000
    finally:
        head.close()
    assert differences(measured(laptop.storage), local) == []


def test_the_entry_of_the_rayjob_runs_as_kuberay_submits_it_and_again_after_a_loss(laptop, local):
    job = next(yaml.safe_load_all((ROOT / "deploy" / "kuberay" / "job.yaml").read_text()))["spec"]
    environment = yaml.safe_load(job["runtimeEnvYAML"])
    environment["working_dir"] = f"file://{bundle.write_zip(laptop.folder / 'upsweep.zip')}"
    program, script, *_ = job["entrypoint"].split()
    entry = [program, script, "small", str(laptop.storage), *SMALL]
    head = RayHead(laptop.folder, cpus=1)
    ray = [BIN / "ray", "job"]
    env = laptop.env | {"RAY_AUTH_MODE": "token", "RAY_ADDRESS": head.dashboard}
    try:
        for attempt in ("one", "two"):
            words = ["--submission-id", attempt, "--runtime-env-json", json.dumps(environment), "--", *entry]
            done = subprocess.run([*ray, "submit", *words], env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "sweep small has its files in" in done.stdout
        assert "sweep 'small' is finished" in done.stdout
    finally:
        head.close()
    assert differences(measured(laptop.storage), local) == []


def test_the_batch_file_of_slurm_saves_before_the_limit_and_resumes_from_the_queue(laptop, local):
    env = {name: value for name, value in laptop.env.items() if not name.startswith("RAY_AUTH")}
    slurm = Slurm(laptop.folder, RAY_TMPDIR=str(laptop.folder), **SETTINGS)
    slurm.env = {name: value for name, value in slurm.env.items() if name not in OTHER}
    slurm.env |= {"HOME": env["HOME"], "TMPDIR": env["TMPDIR"], "MKL_NUM_THREADS": "1"}
    slurm.env["PATH"] = f"{laptop.folder}/bin:{BIN}:{os.environ['PATH']}"
    for requeued in (1, 2):
        job = slurm.start("small", str(laptop.storage), *SMALL)
        try:
            if requeued == 1:
                laptop.until_it_trains(job)
                job.send_signal(signal.SIGUSR1)
            assert job.wait(400) == 0, (laptop.folder / "log").read_text()
        finally:
            everything = below(job.pid)
            for pid in [*everything, job.pid] if job.poll() is None else []:
                os.kill(pid, signal.SIGKILL)
    assert slurm.said().count(f"scontrol requeue {slurm.env['SLURM_JOB_ID']}") == 1
    assert "2 nodes, 0 GPUs, 2 CPU cores" in (laptop.folder / "log").read_text()
    assert differences(measured(laptop.storage), local) == []
