"""Of drivers that start together one gets the sweep, and one that has lost it writes nothing any more."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from datasets.errors import UserError
from orchestrator.storage import Storage
from orchestrator.sweep import claim
from orchestrator.sweep.claim import OwnedStorage, Superseded, claim_sweep, is_running, this_driver
from orchestrator.sweep.heartbeat import Heartbeat


@pytest.fixture(params=["local", "s3", "gs", "az"])
def storage(request, tmp_path):
    if request.param == "local":
        return Storage(str(tmp_path / "runs"))
    return Storage(f"{request.getfixturevalue(request.param)}/runs")


@pytest.fixture
def local(tmp_path):
    return Storage(str(tmp_path / "runs"))


def beats(storage, **changes):
    """Write the beat of a driver of this process; return it."""
    beat = replace(this_driver(), **changes)
    storage.write_text(f"s/{claim.ALIVE}", beat.to_json())
    return beat


ELSEWHERE = {"host": "elsewhere", "machine": "elsewhere/boot/pid"}


def test_of_two_drivers_that_start_together_one_gets_the_sweep(storage):
    def start(name, barrier):
        barrier.wait()
        try:
            return claim_sweep(storage, name, print).number
        except UserError as error:
            assert f"sweep '{name}' is running (process {os.getpid()} on " in str(error)
            return None

    with ThreadPoolExecutor(2) as pool:
        for k in range(20):
            barrier = threading.Barrier(2)
            numbers = [f.result() for f in [pool.submit(start, f"s{k}", barrier) for _ in range(2)]]
            assert sorted(numbers, key=str) == [1, None], "exactly one acts, the other is told"


def test_of_two_processes_that_take_over_a_dead_sweep_one_gets_it(local, tmp_path):
    """Twenty rounds; each begins with a claim whose process is gone."""
    child = textwrap.dedent("""
        import sys, time, pathlib
        from datasets.errors import UserError
        from orchestrator.storage import Storage
        from orchestrator.sweep.claim import claim_sweep
        root, own, other = sys.argv[1:]
        storage, folder = Storage(root), pathlib.Path(root).parent
        for k in range(20):
            (folder / f"{own}-{k}").touch()
            while not (folder / f"{other}-{k}").exists():
                pass
            try:
                print("got", claim_sweep(storage, f"s{k}").number)
            except UserError as error:
                print("told", error)
        (folder / f"{own}-done").touch()
        while not (folder / f"{other}-done").exists():
            time.sleep(0.01)  # a claim whose process has ended may be taken over
    """)
    for k in range(20):
        dead = replace(this_driver(claim=1), pid=dead_pid())
        local.write_text(f"s{k}/claims/000001.json", dead.to_json())
    pair = [
        subprocess.Popen([sys.executable, "-c", child, local.root, *names], stdout=subprocess.PIPE, text=True)
        for names in (("a", "b"), ("b", "a"))
    ]
    lines = [p.communicate()[0].splitlines() for p in pair]
    assert [len(words) for words in lines] == [20, 20]
    for a, b in zip(*lines, strict=True):
        assert sorted([a[:4], b[:4]]) == ["got ", "told"], (a, b)
        assert "got 2" in (a, b)


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_sweep_runs_while_its_process_lives_whatever_the_clocks_say(local):
    assert not is_running(local, "s"), "no driver ever started"
    beats(local)
    assert is_running(local, "s")
    beats(local, at=time.time() - 900)
    assert is_running(local, "s"), "asleep with its machine, or cut off from the storage: still its sweep"
    beats(local, ended=True)
    assert not is_running(local, "s")
    beats(local, pid=dead_pid())
    assert not is_running(local, "s"), "killed a moment ago"
    beats(local, began="1")
    assert not is_running(local, "s"), "its number belongs to another process now"


@pytest.mark.parametrize("skew", [-90.0, 0.0, 90.0])
def test_beats_of_another_machine_are_compared_with_each_other(local, skew, monkeypatch):
    """A driver whose clock is 90 s off lives while it beats, and is dead once it does not."""
    monkeypatch.setattr(claim, "LOST_AFTER_S", 1.0)
    over, said = threading.Event(), []

    def live():
        while not over.wait(0.1):
            beats(local, **ELSEWHERE, at=time.time() + skew, claim=1)

    beats(local, **ELSEWHERE, at=time.time() + skew, claim=1)
    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert is_running(local, "s")
        with pytest.raises(UserError, match="'s' is running .process .* on elsewhere.; stop it"):
            claim_sweep(local, "s", said.append)
    finally:
        over.set()
        thread.join()
    assert "ran on elsewhere; watching" in said[0]
    assert claim_sweep(local, "s", said.append).number == 2


def test_a_driver_that_lost_its_sweep_writes_nothing_any_more(storage):
    first = claim_sweep(storage, "s", print)
    owned = OwnedStorage(storage, first)
    owned.write_text("s/sweep.json", "first")
    storage.write_text("s/alive.json", replace(this_driver(claim=1), ended=True).to_json())
    second = OwnedStorage(storage, claim_sweep(storage, "s", print))
    second.write_text("s/sweep.json", "second")
    for act in (
        lambda: owned.write_text("s/sweep.json", "first again"),
        lambda: owned.remove("s"),
        lambda: owned.remove_file("s/sweep.json"),
    ):
        with pytest.raises(Superseded, match=f"taken over by process {os.getpid()} on"):
            act()
    assert storage.read_text("s/sweep.json") == "second"


def test_a_new_sweep_that_never_began_leaves_nothing_and_one_that_did_its_last_beat(local):
    with pytest.raises(ZeroDivisionError), Heartbeat(local, "s"):
        assert is_running(local, "s")
        raise ZeroDivisionError
    assert local.listing("") == []
    with Heartbeat(local, "s") as heart:
        heart.storage.write_text("s/sweep.json", "{}")
    assert json.loads(local.read_text("s/alive.json"))["ended"]


def test_a_damaged_beat_is_one_sentence(local):
    local.write_text("s/alive.json", '{"host": "a", "pid":')
    with pytest.raises(UserError, match=r"s/alive.json is damaged: it is not JSON .*restore it from a"):
        is_running(local, "s")
    local.write_text("s/alive.json", '{"host": "a"}')
    with pytest.raises(UserError, match="s/alive.json is damaged: it has no 'pid'"):
        is_running(local, "s")
