"""The connection to Ray: addresses that nothing answers at, environment, the lock between local sweeps."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.clusters import node

import datasets
from datasets.errors import UserError
from datasets.files import Held
from orchestrator import provenance
from orchestrator.cluster import connect as connection
from orchestrator.cluster.connect import check_datasets_package, connect, local_lock


@pytest.fixture
def lock_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(connection.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


HOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from orchestrator.cluster.connect import local_lock
with local_lock("first", "/runs/first"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_local_sweep_is_refused_with_the_name_of_the_first(lock_folder):
    command = [sys.executable, "-c", HOLDER, str(lock_folder)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=provenance.ROOT)
    try:
        assert holder.stdout.readline() == b"held\n"
        held = rf"sweep 'first' in /runs/first \(process {holder.pid}, since \d\d:\d\d\)"
        with pytest.raises(
            UserError,
            match=f"^{held} holds this machine's devices: add --wait .* --stop first --storage /runs, ",
        ):
            with local_lock("second"):
                pass
        (lock_folder / f"upsweep-{os.getuid()}/sweep.lock").write_text("")  # the holder has not written yet
        with pytest.raises(
            UserError, match="^another sweep holds this machine's devices: add --wait .* --stop NAME, "
        ):
            with local_lock("second"):
                pass
        waits = []
        kill = lambda line: (waits.append(line), holder.kill())  # noqa: E731
        with local_lock("second", wait=kill) as seconds:  # the kernel frees the lock of a killed sweep
            assert 1 <= seconds < 30
        assert waits == ["waiting until another sweep has ended; Ctrl-C ends the wait"]
        with local_lock("second", wait=kill) as seconds:
            assert seconds == 0 and len(waits) == 1
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_is_free_after_the_block(lock_folder):
    for name in ("a", "b"):
        with local_lock(name):
            (path,) = lock_folder.glob("*/sweep.lock")
            assert f'"name": "{name}", "pid": {os.getpid()}' in path.read_text()


def test_a_foreign_datasets_package_is_refused_with_the_remedy(monkeypatch, tmp_path):
    check_datasets_package()
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "site-packages" / "datasets" / "__init__.py"))
    with pytest.raises(
        UserError, match=r"'datasets' was imported from .*site-packages.* environment of its own"
    ):
        check_datasets_package()


def test_an_address_that_nothing_answers_at_is_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=rf"no Ray cluster answers at {address}: .*; use --local to run here"):
        with connect(address):
            pass
    with pytest.raises(UserError, match="--address must be HOST:PORT, but got 'head'"):
        with connect("head"):
            pass


def test_a_lock_inside_the_block_is_not_taken_for_the_one_of_the_machine(lock_folder):
    with pytest.raises(Held):
        with local_lock("first"):
            raise Held(lock_folder, "another lock")


def test_the_environment_for_ray_keeps_what_the_user_has_set(monkeypatch):
    for name in connection.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TUNE_GLOBAL_CHECKPOINT_S", "60")
    with pytest.raises(UserError):
        with connect("head"):
            pass
    values = {name: os.environ[name] for name in connection.ENVIRONMENT}
    assert values == connection.ENVIRONMENT | {"TUNE_GLOBAL_CHECKPOINT_S": "60"}


def test_workers_of_a_busy_machine_have_ten_minutes_to_start():
    """With Ray's own minute, ray.init never came back where two workers took longer."""
    asked = "from ray._raylet import Config; print(Config.worker_register_timeout_seconds())"
    command = [sys.executable, "-c", asked]
    env = os.environ | connection.ENVIRONMENT
    assert subprocess.run(command, env=env, capture_output=True, text=True).stdout.strip() == "600"


def test_a_refused_token_is_an_error_with_the_remedy(monkeypatch):
    done = subprocess.CompletedProcess([], 1, "", "ray.exceptions: InvalidAuthToken")
    monkeypatch.setattr(connection.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(connection, "check_listening", lambda address: None)
    with pytest.raises(UserError, match="192.0.2.7:1 refuses this machine's token: set RAY_AUTH_MODE=token"):
        connection.reach("192.0.2.7:1")


def test_a_cluster_s_capacity_is_the_declared_one_after_a_first_worker(monkeypatch, capsys):
    kinds = {"local.cluster.node": {"resources": {}, "max_workers": 2}}
    config = {"provider": {"type": "local"}, "max_workers": 2, "available_node_types": kinds}
    config["head_node_type"] = "local.cluster.node"
    rows = [node(0, is_head=True)]
    monkeypatch.setattr("ray.nodes", lambda: rows)
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "10.0.0.1")
    monkeypatch.setattr(connection.capacity, "declared", lambda: config)
    monkeypatch.setattr(connection.time, "sleep", lambda s: rows.append(node(4, 1)))
    place = connection._capacity("10.0.0.1:6379")
    assert capsys.readouterr().out == "waiting for the first worker of the cluster\n"
    now, most = "2 nodes, 1 GPUs, 4 CPU cores now", "at most 3 nodes, 2 GPUs, 8 CPU cores"
    assert place.description == f"the Ray cluster at 10.0.0.1:6379: {now}; {most}"
    assert (place.local, place.nodes, place.cpus, place.gpus) == (False, 3, 8, 2)
    other = connection._capacity("10.0.0.9:6379")
    assert other.description == f"the Ray cluster at 10.0.0.9:6379: {now}; nodes that join are used"


def test_a_long_folder_of_temporary_files_is_none_for_the_sockets_of_ray(monkeypatch, tmp_path):
    """A socket whose name had over 107 bytes ended the sweep."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 60)))
    assert connection._session_folder().parent.parent == Path("/tmp")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # who names a folder means it
    assert connection._session_folder().is_relative_to(tmp_path)


@pytest.mark.parametrize("kind", [RuntimeError, OSError])
def test_a_private_ray_that_does_not_start_is_told_as_one(lock_folder, monkeypatch, kind):
    """Not as a cluster that does not answer: nobody asked for one."""

    def no_room(*_, **__):
        raise kind("The current node timed out during startup.\nIts log is in /x")

    monkeypatch.setattr("ray.init", no_room)
    with pytest.raises(
        UserError,
        match=r"Ray did not start on this machine \(The current node timed.*\(RAY_TMPDIR names another",
    ):
        with connect(None):
            pass
