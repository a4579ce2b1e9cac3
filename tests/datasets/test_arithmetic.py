"""A processor that divides wrongly: it is found, and what it computed is computed again."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import faulty_core
from helpers.paths import ROOT

from datasets import arithmetic
from trainers.metrics import swd

SUITE = """
from pathlib import Path

def test_that_fails_in_the_first_process():
    tried = Path(__file__).with_name("tried")
    first = not tried.exists()
    tried.touch()
    assert not first

def test_that_fails_in_each():
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


@pytest.mark.skipif(len(OWN) < 2, reason="needs two CPU cores")
def test_it_is_computed_again_at_once_on_the_other_cores(monkeypatch):
    found, slept, used, begun = [[min(OWN)], []], [], [], []
    monkeypatch.setattr(arithmetic, "faulty_cores", lambda: found.pop(0))
    monkeypatch.setattr(arithmetic.time, "sleep", slept.append)
    over = threading.Event()

    def compute():
        used.append(os.sched_getaffinity(0))
        begun.append(threading.Thread(target=over.wait))
        begun[-1].start()

    arithmetic.on_sound_cores(compute)()
    after = [os.sched_getaffinity(thread.native_id) for thread in begun]
    over.set()
    assert used == [OWN, OWN - {min(OWN)}] and slept == []
    assert os.sched_getaffinity(0) == OWN and after == [OWN, OWN], "as before, threads that began there too"


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


@pytest.mark.parametrize("cores, outcome", [("1", "1 failed, 1 passed"), ("", "2 failed")])
def test_a_failed_test_runs_again_elsewhere_only_if_a_core_was_seen_to_be_faulty(tmp_path, cores, outcome):
    (tmp_path / "test_two.py").write_text(SUITE)
    seen = tmp_path / "seen"
    if cores:
        seen.write_text(cores)
    options = ["-p", "conftest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", faulty_core.SEEN: str(seen)}
    env.pop(faulty_core.DECIDES, None)
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert outcome in done.stdout, done.stdout
    again = [line for line in done.stdout.splitlines() if line.startswith("run again: ")]
    assert len(again) == (2 if cores else 0)
    assert all("failed after CPU core 1 had divided wrongly" in line for line in again)


def test_the_watcher_notes_a_faulty_core_and_sound_ones_are_found(tmp_path, faults, monkeypatch):
    answers, _ = faults
    answers += [False, True, False]
    looks = iter([1, 1, 1, 0])
    monkeypatch.setattr(faulty_core.os, "getppid", lambda: next(looks))
    faulty_core.watch(tmp_path / "seen", 1)
    assert (tmp_path / "seen").read_text() == str(min(OWN))
    monkeypatch.setattr(faulty_core, "SOUND_S", 0.01)
    assert faulty_core.sound_cores() == {min(OWN)}
    monkeypatch.setattr(arithmetic, "_divides_wrongly", lambda: True)
    monkeypatch.setattr(faulty_core, "WAIT_S", 0.02)
    assert faulty_core.sound_cores() == {min(OWN)}, "no core is sound: any may do it"


class Undivided(np.ndarray):
    """An array whose vectors must not be divided."""

    def __truediv__(self, other):
        raise AssertionError("divided as a vector")


def test_what_a_process_keeps_is_divided_number_by_number(monkeypatch):
    """The directions of SWD had other last bits in processes that began on a faulty core."""
    values, divisors = np.array([[-9.0, 1.0, 7.0], [2.0, 3.0, 4.0]]), np.array([[4.5], [3.0]])
    expected = [[-9 / 4.5, 1 / 4.5, 7 / 4.5], [2 / 3, 3 / 3, 4 / 3]]
    assert arithmetic.quotients(values.view(Undivided), divisors).tolist() == expected
    assert arithmetic.quotients(1, np.array([3, 7])).tolist() == [1 / 3, 1 / 7]
    drawn = np.random.default_rng(swd._SEED).standard_normal((swd.DIRECTIONS, 3 * swd.PATCH**2))
    source = SimpleNamespace(standard_normal=lambda size: drawn.view(Undivided))
    monkeypatch.setattr(swd.np.random, "default_rng", lambda seed: source)
    norms = np.linalg.norm(drawn, axis=1).tolist()
    wanted = [[value / norm for value in row] for row, norm in zip(drawn.tolist(), norms, strict=True)]
    assert np.array_equal(swd._directions.__wrapped__(), np.array(wanted, dtype=np.float32))
