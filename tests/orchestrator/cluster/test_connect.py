"""Where a sweep runs: slots, the lock between local sweeps, addresses that nobody answers at."""

import os
import socket
import subprocess
import sys

import pytest

import datasets
from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.cluster import connect as connection
from orchestrator.cluster.capacity import Capacity, LiveCapacity, Size
from orchestrator.cluster.connect import check_datasets_package, connect, local_lock


@pytest.mark.parametrize(
    ("gpus", "cpus", "per_trial", "slots"),
    [(0, 2, 1.0, 2), (1, 8, 1.0, 1), (1, 8, 0.5, 2), (4, 3, 0.5, 3), (8, 64, 0.25, 32), (0, 0, 1.0, 1)],
)
def test_slots(gpus, cpus, per_trial, slots):
    assert Capacity("here", True, 1, cpus, gpus).slots(per_trial, 1) == slots


@pytest.mark.parametrize(
    ("gpus", "cpus", "ranks", "slots"), [(0, 5, 2, 2), (8, 64, 4, 2), (8, 6, 2, 3), (7, 64, 2, 3)]
)
def test_slots_of_trials_with_several_ranks(gpus, cpus, ranks, slots):
    assert Capacity("here", True, 1, cpus, gpus).slots(float(ranks), ranks) == slots


def test_a_place_grows_and_shrinks_with_its_nodes_but_its_trials_ask_for_the_same():
    sizes = [Size(1, 1, 0), Size(3, 5, 4), Size(1, 1, 0)]
    place = Capacity("there", False, 1, 1, 0, lambda: sizes[0])
    assert place.current().slots(1.0, 1) == 1
    sizes.pop(0)
    assert place.current().slots(1.0, 1) == 5, "trials that ask for no GPU go wherever there is a core"
    assert Capacity("there", False, 2, 8, 2, lambda: sizes[0]).current().slots(0.5, 1) == 5
    sizes.pop(0)
    shrunk = Capacity("there", False, 2, 8, 2, lambda: sizes[0]).current()
    assert shrunk.gpus and shrunk.slots(1.0, 1) == 1, "one waits for the next GPU, and not on a core without"
    here = Capacity("here", True, 1, 2, 0)
    assert here.current() is here


def node(cpus, gpus=0, is_head=False):
    held = {"CPU": cpus, "GPU": gpus} | ({"node:__internal_head__": 1.0} if is_head else {})
    return {"Alive": True, "Resources": held}


def test_room_is_what_the_nodes_hold_and_is_asked_only_now_and_then():
    alive, asked, clock = [node(2, is_head=True)], [], [100.0]
    room = LiveCapacity(lambda: asked.append(1) or alive, None, lambda: clock[0])
    assert room() == Size(1, 2, 0)
    alive.append(node(8, 1))
    clock[0] += room.EVERY_S / 2
    assert room() == Size(1, 2, 0) and len(asked) == 1
    clock[0] += room.EVERY_S
    assert room() == Size(2, 10, 1)
    alive[1]["Alive"] = False
    clock[0] += room.EVERY_S
    assert room() == Size(1, 2, 0)


def test_room_is_as_large_as_was_declared_or_as_it_has_become():
    worker = {"max_workers": 3, "resources": {"CPU": 4, "GPU": 1}}
    config = {"max_workers": 3, "head_node_type": "head", "provider": {"type": "aws"}}
    config["available_node_types"] = {"head": {}, "worker": worker}
    alive = [node(2, is_head=True)]
    assert LiveCapacity(lambda: alive, config)() == Size(4, 14, 3)
    alive += [node(64)] * 4
    assert LiveCapacity(lambda: alive, config)() == Size(5, 2 + 4 * 64, 3)


@pytest.fixture
def lock_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(connection.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


HOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from orchestrator.cluster.connect import local_lock
with local_lock("first"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_local_sweep_is_told_who_holds_the_machine(lock_folder):
    command = [sys.executable, "-c", HOLDER, str(lock_folder)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=provenance.ROOT)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"sweep 'first' \(process {holder.pid}\) holds this machine"):
            with local_lock("second"):
                pass
        holder.kill()  # the kernel frees what a killed sweep held
        holder.wait()
        with local_lock("second"):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_opens_for_the_next_one(lock_folder):
    for name in ("a", "b"):
        with local_lock(name):
            (path,) = lock_folder.iterdir()
            assert f'"name": "{name}", "pid": {os.getpid()}' in path.read_text()


def test_a_foreign_datasets_package_is_named_with_the_remedy(monkeypatch, tmp_path):
    check_datasets_package()
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "site-packages" / "datasets" / "__init__.py"))
    with pytest.raises(
        UserError, match=r"'datasets' was imported from .*site-packages.* environment of its own"
    ):
        check_datasets_package()


def test_an_address_that_nobody_answers_at_is_one_sentence(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=rf"no Ray cluster answers at {address}: .*; use --local to run here"):
        with connect(address):
            pass
    with pytest.raises(UserError, match="--address must be HOST:PORT, but got 'head'"):
        with connect("head"):
            pass


def test_cores_that_this_process_may_use():
    assert 1 <= connection.available_cpus() <= (os.cpu_count() or 1)
