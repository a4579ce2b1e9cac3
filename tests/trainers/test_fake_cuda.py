"""The cases of a GPU that is not there, in a process of their own: autograd counts the devices only once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("fake_cuda_cases.py")
CASES_BY_DEFAULT = 21
"""Fewer would mean that cases were skipped, because this torch cannot be given a fake card."""


def run(which):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "-m",
        which,
        str(CASES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CASES.parents[2])
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_steps_on_a_fake_gpu_stay_there_and_planted_faults_are_found():
    said = run("not slow")
    passed = re.search(r"(\d+) passed", said)
    assert passed and int(passed[1]) >= CASES_BY_DEFAULT, said[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_recipe_in_every_precision_and_order_stays_on_its_device():
    assert "passed" in run("slow")
