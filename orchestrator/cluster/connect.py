"""The connection to Ray, at an address or private to this process, and the lock between local sweeps."""

import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import datasets
from datasets import stopping
from datasets.address import split
from datasets.errors import UserError
from datasets.files import Held, locked, own_folder, usable_cpus
from orchestrator.cluster import capacity, ray_private
from orchestrator.cluster.capacity import Capacity
from orchestrator.provenance import ROOT

OBJECT_STORE_BYTES = 200 * 1024 * 1024  # trials exchange pointers, not arrays
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage statistics to the authors of Ray
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files beside our journals
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # not every report holds the ranked metric
    "TUNE_GLOBAL_CHECKPOINT_S": "5",  # seconds between snapshots: the most that a dead driver loses
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of data and plug-ins keep their meaning
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's newer output prints a table even if it is asked for none
    # Ray gives up workers that need more than a minute to start, and ray.init then waits for them for ever
    "RAY_worker_register_timeout_seconds": "600",
}
"""Settings of Ray for this process and its children; a variable that the user has set keeps its value."""
LONGEST_PLACE = 21
"""Bytes that the parent of Ray's folder may have: a socket's name has 103 at most, of which Ray takes 82."""

WORKER_ENVIRONMENT = {
    # blocks that grow: less memory is lost to gaps, which matters most to trials that share a GPU
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
}
"""Settings of tasks and trials; a variable that the user has set keeps its value."""


def check_datasets_package() -> None:
    """Raise UserError if `datasets` is not ours but, for example, Hugging Face's package of that name."""
    ours, imported = ROOT / "datasets", Path(datasets.__file__).resolve().parent
    if imported != ours:
        raise UserError(
            f"the package 'datasets' was imported from {imported} instead of {ours}; install Upsweep in an "
            f"environment of its own (make sweep does)"
        )


@contextmanager
def connect(address: str | None) -> Iterator[Capacity]:
    """Connect to the Ray at `address` (HOST:PORT), or start a private one here, until the block ends.

    Raises:
        UserError: within seconds if no Ray answers at `address` or it refuses our token; if the private Ray
            does not start.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # our own messages name the trial that failed
    # workers import our packages from here, whatever folder the driver was started in
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
    env = {name: os.environ.get(name, value) for name, value in WORKER_ENVIRONMENT.items()}
    settings: dict[str, Any] = {"runtime_env": {"env_vars": env | {"PYTHONPATH": path}}}
    settings |= {"log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as stack:
        if address is None:
            stack.enter_context(ray_private.private_settings())
            stack.enter_context(ray_private.sessions_of_their_own())
            settings |= {"address": "local", "num_cpus": usable_cpus(), "include_dashboard": False}
            settings |= {"object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": str(_session_folder())}
        else:
            reach(address)
            settings |= {"address": address}
        try:
            with stopping.kept_for_children():
                ray.init(**settings)
        except (ConnectionError, OSError) as error:
            raise (_no_answer(address, error) if address else _no_start(error)) from None
        except Exception as error:  # Ray raises bare exceptions if a process of its own does not come up
            if address is not None:
                raise
            raise _no_start(error) from error
        stack.callback(ray.shutdown)
        yield _capacity(address)


def _session_folder() -> Path:
    """Return the folder for the sessions of a private Ray (sockets, logs), closed to other users."""
    named = os.environ.get("RAY_TMPDIR")
    place = named or os.environ.get("TMPDIR") or "/tmp"
    if not named and len(os.fsencode(place)) > LONGEST_PLACE:
        place = "/tmp"
    # a folder below it, because Ray opens its own to all users
    return own_folder(Path(place)) / "ray"


def _capacity(address: str | None) -> Capacity:
    """Return the capacity of the connected Ray; wait for a worker if only that shows how large one is."""
    import ray
    from ray.util import get_node_ip_address

    if address is None:
        size = capacity.now(ray.nodes())
        return Capacity(f"this machine: {size}", True, size.nodes, size.cpus, size.gpus)
    is_head = address.rpartition(":")[0] == get_node_ip_address()
    config = capacity.declared() if is_head else None
    if config is not None and capacity.is_unknown(config, ray.nodes()):
        print("waiting for the first worker of the cluster", flush=True)
        capacity.wait_for_worker(ray.nodes, lambda: time.sleep(2))
    now = capacity.now(ray.nodes())
    live = capacity.LiveCapacity(ray.nodes, partial(capacity.maximum, config) if config else None)
    most = live()
    growth = f"at most {most}" if live.most else "nodes that join are used"
    description = f"the Ray cluster at {address}: {now} now; {growth}"
    return Capacity(description, False, most.nodes, most.cpus, most.gpus, live, live.trouble)


def reach(address: str) -> None:
    """Raise UserError within seconds unless a Ray answers at `address` (HOST:PORT) and accepts our token."""
    check_listening(address)
    _check_token(address)


def check_listening(address: str, timeout_s: float = 5.0) -> None:
    """Raise UserError within `timeout_s` seconds unless something listens at `address` (HOST:PORT)."""
    parts = split(f"ray://{address.removeprefix('ray://')}", "--address")
    if not parts.hostname or not parts.port:
        raise UserError(f"--address must be HOST:PORT, but got '{address}'; Ray's port is 6379 by default")
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=timeout_s).close()
    except OSError as error:
        raise _no_answer(address, error) from None


@lru_cache
def _check_token(address: str) -> None:
    """Connect in another process, where a short limit holds; Ray's own attempt takes half a minute."""
    env = os.environ | {"RAY_gcs_rpc_server_connect_timeout_s": "2"}
    done = subprocess.run(
        [sys.executable, "-c", ray_private.CHECK_TOKEN, address], env=env, capture_output=True, text=True
    )
    if done.returncode and "InvalidAuthToken" in done.stderr:
        raise UserError(
            f"the Ray cluster at {address} refuses this machine's token: set RAY_AUTH_MODE=token and put the "
            f"head's ~/.ray/auth_token into RAY_AUTH_TOKEN, or use --local to run here"
        )


def _no_start(error: Exception) -> UserError:
    """Return the error for a private Ray that does not start."""
    reason = " ".join(str(error).split())[:200]
    return UserError(
        f"Ray did not start on this machine ({reason}): try again when it is less busy, check the free disk "
        f"of {_session_folder().parent} (RAY_TMPDIR names another folder), and read the logs in it"
    )


def _no_answer(address: str, error: Exception) -> UserError:
    return UserError(f"no Ray cluster answers at {address}: {error}; use --local to run here")


@contextmanager
def local_lock(name: str, folder: str = "", wait: Callable[[str], Any] | None = None) -> Iterator[float]:
    """Reserve this machine's devices for the sweep `name`; the kernel frees them when the process ends.

    `folder` is that of the sweep, for the message to others. With `wait`, which prints a line, it waits for
    the end of a sweep that has them. Yields the seconds that it waited.

    Raises:
        UserError: naming the other sweep, if one runs on this machine and `wait` is None.
    """
    path = own_folder(Path(tempfile.gettempdir())) / "sweep.lock"
    holder = json.dumps({"name": name, "pid": os.getpid(), "folder": folder, "since": time.time()})
    began, told = time.monotonic(), False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path, blocking=False, holder=holder))
                break
            except Held as held:
                other, stop = _describe_holder(held.holder)
                if wait is None:
                    raise UserError(
                        f"{other} holds this machine's devices: add --wait to a sweep to wait for its end, "
                        f"stop it by {stop}, or use a cluster with --address"
                    ) from None
                if not told:
                    wait(f"waiting until {other} has ended; Ctrl-C ends the wait")
            told = True
            time.sleep(1)
        yield time.monotonic() - began if told else 0.0


def _describe_holder(text: str) -> tuple[str, str]:
    """Return the sweep that the text of the lock file names, in words, and the command that stops it."""
    try:
        holder = json.loads(text)
        name, folder = holder["name"], holder["folder"]
        since = time.strftime(", since %H:%M", time.localtime(holder["since"]))
        process = f"(process {holder['pid']}{since})"
    except (ValueError, KeyError):  # it has the lock and has not written the file yet
        return "another sweep", "upsweep sweep --stop NAME"
    place = folder.removesuffix(f"/{name}")
    stop = f"upsweep sweep --stop {name}" + (f" --storage {shlex.quote(place)}" if place else "")
    return f"sweep '{name}'{f' in {folder}' if folder else ''} {process}", stop
