"""A sweep whose state is in an object store: its driver is killed, and another one goes on."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers import small_sweep
from helpers.paths import ROOT

from orchestrator.results.sweep_folder import read_facts, read_rows
from orchestrator.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1200)]

SMALL = [*small_sweep.SMALL, "--local"]


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_a_killed_driver_resumes_from_the_store(kind, request):
    storage = Storage(f"{request.getfixturevalue(kind)}/runs")
    folder = Path(tempfile.mkdtemp(prefix="up"))  # short enough for Ray's sockets
    other = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "UPSWEEP_LOCAL", "PYTHONPATH")  # not this sweep's
    env = {name: value for name, value in os.environ.items() if name not in other}
    env |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TMPDIR": str(folder)}
    words = [sys.executable, str(ROOT / "experiments" / "sweep.py"), "--storage", storage.root]
    words += ["--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    try:
        with open(folder / "log.txt", "w") as log:
            driver = subprocess.Popen(
                [*words, "--name", "small", *SMALL], env=env, cwd=folder, stdout=log, stderr=log
            )
        end = time.monotonic() + 400
        while not any(name.startswith("screen-") for name in storage.listing("small/trials")):
            assert driver.poll() is None and time.monotonic() < end, (folder / "log.txt").read_text()
            time.sleep(0.5)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        shutil.rmtree(
            folder / "runs", ignore_errors=True
        )  # nothing of the first driver but the store is left
        done = subprocess.run(
            [*words, "--resume", "small"], env=env, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert read_facts(storage, "small")["status"] == "finished"
        stages = [row["stage"] for row in read_rows(storage, "small")]
        assert [stages.count(stage) for stage in ("screen", "confirm")] == [2, 1]
        assert storage.exists("small/report.html") and storage.listing("small/claims")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
