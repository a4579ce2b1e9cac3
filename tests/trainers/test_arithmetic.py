"""A processor that divides wrongly: it is found, and what it computed is computed again."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import ROOT

from trainers import arithmetic

SUITE = """
import time
import conftest
from trainers import arithmetic

conftest.FAULT_S = 0.5
tries = []
faulty_until = [time.monotonic() + 4]
arithmetic._divides_wrongly = lambda: time.monotonic() < faulty_until[0]

def test_that_fails_on_the_faulty_core():
    tries.append(1)
    assert len(tries) == 2

def test_that_fails_on_a_sound_core():
    assert False
"""


@pytest.fixture
def faults(monkeypatch):
    """The answers of the next checks: True where the core divides wrongly."""
    answers, slept = [], []
    monkeypatch.setattr(arithmetic, "_divides_wrongly", lambda: answers.pop(0) if answers else False)
    monkeypatch.setattr(arithmetic.time, "sleep", slept.append)
    monkeypatch.setattr(arithmetic.os, "sched_getaffinity", lambda pid: {min(OWN)})
    return answers, slept


OWN = os.sched_getaffinity(0)


def test_a_wrong_quotient_is_found_on_each_core_and_the_process_keeps_its_cores(monkeypatch):
    wrong = arithmetic._QUOTIENTS.copy()
    wrong[2] = np.nextafter(wrong[2], 9.0)
    monkeypatch.setattr(arithmetic, "_QUOTIENTS", wrong)
    assert arithmetic.faulty_cores() == sorted(OWN)[: arithmetic.MOST]
    assert os.sched_getaffinity(0) == OWN


def test_what_a_faulty_core_computed_is_computed_again(faults):
    answers, slept = faults
    calls = []
    measure = arithmetic.on_sound_cores(lambda: calls.append(1) or len(calls))
    assert measure() == 1 and slept == []
    answers += [True, True]
    assert measure() == 4 and slept == [1.0, 5.0]


def test_an_error_on_a_faulty_core_is_no_error_of_the_function(faults):
    answers, _ = faults
    calls = []

    def fail_once():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("SSIM of 4.5 is outside -1 to 1")
        return 7

    answers.append(True)
    assert arithmetic.on_sound_cores(fail_once)() == 7
    calls.clear()
    with pytest.raises(RuntimeError, match="SSIM of 4.5"):
        arithmetic.on_sound_cores(fail_once)()


def test_a_core_that_stays_faulty_is_named(faults):
    answers, slept = faults
    answers += [True] * 5
    with pytest.raises(RuntimeError, match=rf"CPU core {min(OWN)} of this machine divides wrongly"):
        arithmetic.on_sound_cores(lambda: 1)()
    assert slept == list(arithmetic.WAITS)


def test_only_a_test_that_failed_on_a_faulty_core_runs_again(tmp_path):
    (tmp_path / "test_two.py").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "conftest",
        "-q",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    again = [line for line in done.stdout.splitlines() if line.startswith("run again: ")]
    assert len(again) == 1 and "test_that_fails_on_the_faulty_core failed while CPU core" in again[0]
