"""A disk that fills up in a stage ends the sweep in a sentence; with room, --resume trains what is left."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.disks import fill
from helpers.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to mount a small disk"),
]
SMALL = """
--name tiny --recipe demo --space balance --trials 2 --repeat-top 1 --confirm-top 1 --confirm-seeds 1 --local
--run.psnr-steps 120 --run.gan-steps 120 --run.psnr-eval-every-steps 20 --run.eval-every-steps 4
--run.log-every-steps 5 --run.checkpoint-every-steps 20 --generator.channels 24 --generator.num-blocks 1
--discriminator.base-channels 8 --discriminator.num-layers 4 --data.crop-px 48 --data.batch-size 4
--data.eval-images 4
""".split()


class Sweep:
    """A sweep on a disk of 400 MB, and what it prints."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk = folder, folder / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(self.disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("cannot mount a small disk")
        self.env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TMPDIR": str(folder)}

    @property
    def printed(self) -> str:
        return (self.folder / "log.txt").read_text()

    def start(self, *words: str) -> subprocess.Popen:
        """Return a running sweep; Ray gives itself 30 s to start, which a busy machine may not have."""
        command = [sys.executable, str(ROOT / "experiments/sweep.py"), *words, "--storage", str(self.disk)]
        for _ in range(6):
            with open(self.folder / "log.txt", "w") as log:
                process = subprocess.Popen(command, env=self.env, cwd=self.folder, stdout=log, stderr=log)
            while process.poll() is None and "running on this machine" not in self.printed:
                time.sleep(0.1)
            if "Ray did not start" not in self.printed:
                break
        return process

    def fill(self) -> None:
        fill(self.disk)

    def litter(self) -> list[str]:
        return [str(p) for p in self.disk.rglob("*.tmp")]


@pytest.fixture
def sweep():
    made = Sweep(Path(tempfile.mkdtemp(prefix="up")))
    yield made
    subprocess.run(["umount", "-l", str(made.disk)], check=True)
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.mark.parametrize("stage", ["warm", "screen", "repeat", "confirm", "test"])
def test_a_disk_that_fills_up_in_a_stage_costs_a_sentence(stage, sweep):
    process, folder = sweep.start(*SMALL), sweep.disk / "tiny"

    def reached() -> bool:
        if stage == "test":
            return (folder / "stages/confirm.json").exists()
        return bool(list(folder.glob(f"trials/{stage}-*/attempt-*/*/manifest.json")))

    while not reached():
        assert process.poll() is None, sweep.printed
        time.sleep(0.02)
    sweep.fill()
    assert process.wait() == 1, sweep.printed
    assert re.search("^error: .*the disk is full", sweep.printed, re.M), sweep.printed
    assert "Traceback" not in sweep.printed and sweep.litter() == []
    (sweep.disk / "filler").unlink()
    assert sweep.start("--resume", "tiny").wait() == 0, sweep.printed
    rows = json.loads((folder / "leaderboard.json").read_text())
    assert {"warm", "screen", "repeat", "confirm", "test"} == {r["stage"] for r in rows}
    assert not [r["verdict"] for r in rows if r["verdict"].startswith(("failed", "unfinished"))]
    assert json.loads((folder / "sweep.json").read_text())["status"] == "finished"
