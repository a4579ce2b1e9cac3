"""Which Ray a sweep runs on, said out loud; and the lock that keeps two local sweeps apart."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import datasets
from datasets.errors import UserError
from orchestrator.cluster import capacity
from orchestrator.cluster.capacity import Capacity
from orchestrator.provenance import ROOT

OBJECT_STORE_BYTES = 200 * 1024 * 1024  # trials exchange pointers, not arrays


def check_datasets_package() -> None:
    """UserError where `datasets` is not ours: Hugging Face's package has the same name."""
    ours = ROOT / "datasets"
    found = Path(datasets.__file__).resolve().parent
    if found != ours:
        raise UserError(
            f"the package 'datasets' was imported from {found} instead of {ours}; install Upsweep in an "
            f"environment of its own (make sweep does)"
        )


@contextmanager
def connect(address: str | None) -> Iterator[Capacity]:
    """Ray at `address`, or a private one on this machine that ends with the block.

    UserError within seconds where nothing answers at `address`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "5")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the newer one prints a table even when told not to
    import logging

    import ray

    # what failed is told in our own words, by trial
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Workers import our packages from here, whatever folder the driver stands in.
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
    settings = {"env_vars": {"PYTHONPATH": path}}
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=available_cpus(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=settings,
            )
        else:
            reach(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=settings)
    except (ConnectionError, OSError) as error:
        raise _no_answer(address, error) from None
    try:
        yield _place(address)
    finally:
        ray.shutdown()


def _place(address: str | None) -> Capacity:
    """What is there now and at most; waits for a first worker where only that tells what workers hold."""
    import ray
    from ray.util import get_node_ip_address

    host = (address or "").rpartition(":")[0]
    config = capacity.declared() if host and host == get_node_ip_address() else None
    if config is not None and capacity.is_unknown(config, ray.nodes()):
        print("waiting for the first worker of the cluster", flush=True)
        capacity.wait_for_worker(ray.nodes, lambda: time.sleep(2))
    now = capacity.now(ray.nodes())
    where = "this machine" if address is None else f"the Ray cluster at {address}"
    if address is None:
        return Capacity(f"{where}: {now}", True, now.nodes, now.cpus, now.gpus)
    room = capacity.LiveCapacity(ray.nodes, config)
    most = room()
    words = f"{now} now; at most {most}" if config else f"{now} now; nodes that join are used"
    return Capacity(f"{where}: {words}", False, most.nodes, most.cpus, most.gpus, room)


def reach(address: str) -> None:
    """UserError within seconds unless a Ray answers at `address` (HOST:PORT) and takes our token."""
    check_listening(address)
    _check_token(address)


def check_listening(address: str, timeout_s: float = 5.0) -> None:
    """UserError within seconds unless something listens at `address`."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--address must be HOST:PORT, but got '{address}'")
    try:
        socket.create_connection((host, int(port)), timeout=timeout_s).close()
    except OSError as error:
        raise _no_answer(address, error) from None


@lru_cache
def _check_token(address: str) -> None:
    """Ask in a process of its own: Ray's own attempt takes half a minute and says only that it failed."""
    ask = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
    env = os.environ | {"RAY_gcs_rpc_server_connect_timeout_s": "2"}
    asked = subprocess.run([sys.executable, "-c", ask, address], env=env, capture_output=True, text=True)
    if asked.returncode and "InvalidAuthToken" in asked.stderr:
        raise UserError(
            f"the Ray cluster at {address} refuses this machine's token: set RAY_AUTH_MODE=token and put the "
            f"head's ~/.ray/auth_token into RAY_AUTH_TOKEN, or use --local to run here"
        )


def _no_answer(address: str | None, error: Exception) -> UserError:
    return UserError(f"no Ray cluster answers at {address}: {error}; use --local to run here")


def available_cpus() -> int:
    """Cores this process may use (containers and taskset count)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local_lock(name: str) -> Iterator[None]:
    """Hold this machine for one sweep; the kernel frees it when the holder dies.

    UserError naming the holder where another local sweep runs: both would fight for the same devices.
    """
    path = Path(tempfile.gettempdir()) / f"upsweep-{os.getuid()}.lock"
    with open(path, "a+") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            f.seek(0)
            raise UserError(_held_by(f.read())) from None
        f.truncate(0)
        f.write(json.dumps({"name": name, "pid": os.getpid()}))
        f.flush()
        yield


def _held_by(text: str) -> str:
    try:
        holder = json.loads(text)
        who = f"sweep '{holder['name']}' (process {holder['pid']})"
    except (ValueError, KeyError):
        who = "another sweep"
    return f"{who} holds this machine's devices; wait for it, stop it, or run on a cluster with --address"
