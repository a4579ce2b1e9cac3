"""A checkpoint that cannot be read ends its trial with the reason: Ray does not start it over in silence."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from helpers.chaos import Sweep
from helpers.two_nodes import below, trials_below, wait_until_gone

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for trials in /proc"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]


def pointers(sweep):
    """Trial -> Tune's own folders that point to its checkpoints."""
    found = {}
    for path in sweep.home.glob("tune/warm/run_trial_*/checkpoint_*/pointer.json"):
        trial = json.loads(path.read_text())["checkpoint"].split("/")[2]
        found.setdefault(trial, []).append(path.parent)
    return found


def damage(sweep, trial):
    """One bit of each of its checkpoints is another."""
    for path in sweep.home.glob(f"trials/{trial}/attempt-*/*/state.pt"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def wait_for(true, driver, sweep):
    end = time.monotonic() + 900
    while not true():
        assert driver.poll() is None and time.monotonic() < end, sweep.said()
        time.sleep(0.1)


def test_trials_whose_checkpoint_is_damaged_or_gone_fail_and_say_so():
    long = ["--run.psnr-steps", "4000"]  # neither is to end before it is killed
    sweep = Sweep(["--sampler", "grid", "--stopping", "none", *long])
    driver = sweep.start()
    try:
        wait_for(lambda: len(pointers(sweep)) == 2, driver, sweep)
        time.sleep(5)  # the driver learns of the second one
        trials = trials_below(driver.pid)
        for pid in trials:
            os.kill(pid, signal.SIGSTOP)  # or a newer checkpoint would be written meanwhile
        damaged, lost = sorted(pointers(sweep))
        damage(sweep, damaged)
        for folder in pointers(sweep)[lost]:
            shutil.rmtree(folder)
        for pid in trials:
            os.kill(pid, signal.SIGKILL)
        wait_for((sweep.home / "stages" / "warm.json").exists, driver, sweep)
        rows = json.loads((sweep.home / "stages" / "warm.json").read_text())
        said = {r["trial_id"]: r["verdict"] for r in rows}
        assert said[damaged].startswith("failed: the checkpoint in ")
        assert "is damaged: state.pt does not match its hash" in said[damaged]
        assert said[lost].startswith("failed") and "does not exist on storage anymore" in said[lost]
        assert not list((sweep.storage / "warm").glob("*/done.json")), "nobody starts from such a phase"
    finally:
        everything = below(driver.pid)
        driver.kill()
        driver.wait()
        wait_until_gone(everything)
        sweep.close()
