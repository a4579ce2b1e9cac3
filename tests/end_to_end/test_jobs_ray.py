"""A sweep through Ray's job API, over TLS with a token: detached, stopped, resumed, its report copied."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.job_api import TOKEN, certificate
from helpers.paths import ROOT
from helpers.ray_head import OTHER, RayHead, tls_before

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]

SMALL = """
--recipe demo --space balance --sampler random --stopping none --trials 2 --repeat-top 0 --confirm-top 1
--confirm-seeds 1 --run.psnr-steps 40 --run.gan-steps 8 --run.psnr-eval-every-steps 20
--run.eval-every-steps 4 --run.log-every-steps 4 --run.checkpoint-every-steps 2 --optim.lr-psnr 3e-3
--optim.lr-g 1e-5
--generator.channels 24 --generator.num-blocks 1 --discriminator.base-channels 8 --discriminator.num-layers 4
--data.crop-px 48 --data.batch-size 4 --data.eval-images 4
""".split()
"""Its trials neither depend on one another nor on their order: every place gives the same numbers."""


def measured(storage):
    """Return what a sweep measured: (stage, design, seed, metrics) of each row, in order."""
    rows = json.loads((storage / "small" / "leaderboard.json").read_text())
    return sorted(
        (
            r["stage"],
            r["seed"],
            json.dumps(r["config"], sort_keys=True),
            json.dumps(r["metrics"], sort_keys=True),
        )
        for r in rows
    )


class Laptop:
    """A machine without a cluster of its own: a folder, and the environment of its commands."""

    def __init__(self, folder, tls):
        self.folder, self.storage = Path(folder), Path(folder) / "store"
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


@pytest.fixture
def place():
    folder = tempfile.mkdtemp(prefix="up")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_sweep_at_a_url_is_detached_stopped_resumed_and_equals_a_local_one(place):
    tls = certificate(place)
    laptop = Laptop(place, tls)
    head = RayHead(place, cpus=1)
    try:
        with tls_before(head, tls) as url:
            wrong = laptop.sweep("--jobs", url, "--status", "x", code=2, RAY_AUTH_TOKEN="of another cluster")
            assert "refuses the token or headers of this machine" in wrong
            said = laptop.sweep("--name", "small", *SMALL, "--detach", RAY_API_SERVER_ADDRESS=url)
            assert f"Ray at {url} (Ray " in said and "submitted as upsweep-" in said
            end = time.monotonic() + 400
            while not list(laptop.storage.glob("small/trials/screen-*/checkpoint*")):
                assert time.monotonic() < end, laptop.sweep("--jobs", url, "--status", "small")
                time.sleep(0.2)
            assert "sweep 'small' stopped; resume it" in laptop.sweep("--jobs", url, "--stop", "small")
            assert "interrupted" in laptop.sweep("--jobs", url, "--status", "small")
            said = laptop.sweep("--jobs", url, "--resume", "small")
            assert "copied here: runs/small/report.html" in said and "pick: " in said
            assert (place / "runs" / "small" / "report.html").stat().st_size > 10_000
    finally:
        head.close()
    other = place / "local"
    laptop.sweep("--name", "small", *SMALL, "--local", storage=other)
    assert measured(laptop.storage) == measured(other)
