"""A Ray cluster of two nodes on this machine; the second has a disk of its own, which goes when it dies.

The second node lives in a mount and a PID namespace: its Ray folder, its shared memory and the folders in
which a sweep keeps a node's own files are a tmpfs that nobody else sees and that ends with its last process.
The sweep's storage is one folder for both, as a network file system would be.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
OWN = ("scratch", "datasets", "cache")
"""Folders of each node's own below the storage root."""
SECOND = "127.0.0.2"
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
INIT = """
mount --make-rprivate / || exit
for folder in $FOLDERS; do mount -t tmpfs tmpfs "$folder" || exit; done
exec "$@"
"""
TRIAL = "ImplicitFunc"
"""Part of the command line of a process that Ray Tune runs a trial in."""
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "of-two-nodes-on-one-machine",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # on a busy machine polite workers take minutes to start
    "RAY_memory_monitor_refresh_ms": "0",  # it would end workers for what others hold
    # a node that dies is missed after seconds instead of half a minute
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def possible():
    """Return True if this machine lets us create namespaces."""
    return bool(shutil.which("unshare")) and not subprocess.run([*NAMESPACES, "true"]).returncode


class TwoNodes:
    """A head and a second node with one CPU each; `folder` needs a short path, for Ray's sockets."""

    def __init__(self, folder, storage, with_second=True):
        self.folder = Path(folder)
        self.scratch = Path(storage) / "scratch"
        self.own = [self.folder / "ray", *(Path(storage) / name for name in OWN)]
        for path in self.own:
            path.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.env = os.environ | SETTINGS | {"TMPDIR": str(self.folder), "RAY_TMPDIR": str(self.folder)}
        self.env.pop("RAY_ADDRESS", None)
        self.head = self._ray([], "--head", f"--port={port}", "--include-dashboard=false")
        self.second = None
        try:
            _until(lambda: self._answers(port), "the head of the cluster")
            if with_second:
                self.start_second()
        except BaseException:
            self.close()
            raise

    def start_second(self):
        """Start the second node with an empty disk; return when its raylet runs."""
        words = [f"--address={self.address}", f"--node-ip-address={SECOND}"]
        self.second = self._ray([*NAMESPACES, "sh", "-c", INIT, "sh"], *words)
        _until(lambda: self._raylets(), "the second node")
        assert not self.files(), "its disk is new"

    def _ray(self, before, *words):
        size = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]
        env = self.env | {"FOLDERS": " ".join(["/dev/shm", *map(str, self.own)])}
        with open(self.folder / "cluster.txt", "a") as log:
            return subprocess.Popen([*before, RAY, "start", *words, *size], env=env, stdout=log, stderr=log)

    def _answers(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def _raylets(self):
        return [pid for pid in below(self.second.pid) if "raylet_socket_name" in command_line(pid)]

    def files(self):
        """Return the files of sweeps on the second node's own disk, as that node sees them."""
        seen = Path(f"/proc/{self._raylets()[0]}/root") / self.scratch.relative_to("/")
        return [path for path in seen.rglob("*") if path.is_file()]

    def trials(self, *, second_only=False, task=TRIAL):
        """Return the processes of running trials, or of another Ray task."""
        nodes = [self.second] if second_only else [self.second, self.head]
        return [pid for node in nodes if node for pid in trials_below(node.pid, task)]

    def lose_second(self):
        """Kill the second node, its disk included; return the files of sweeps that were on it."""
        lost, everything = self.files(), below(self.second.pid)
        os.kill(self._raylets()[0], signal.SIGKILL)
        try:
            self.second.wait(10)  # `ray start --block` leaves when its raylet has gone
        except subprocess.TimeoutExpired:
            self.second.kill()
            self.second.wait()
        wait_until_gone(everything)
        return lost

    def close(self):
        """End both nodes."""
        nodes = [node for node in (self.second, self.head) if node is not None]
        kill_with_descendants(nodes)


def kill_with_descendants(processes):
    """Kill processes and all that they started, and wait until they are gone."""
    everything = [pid for process in processes for pid in below(process.pid)]
    for process in processes:
        process.kill()
        process.wait()
    for pid in everything:  # what a killed head leaves
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    wait_until_gone(everything)


def below(pid):
    """Return all descendants of a process, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it ended meanwhile
            continue
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def command_line(pid):
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def trials_below(pid, task=TRIAL):
    """Return the processes of running trials, or of another Ray `task`, below a driver or a node."""
    return [child for child in below(pid) if task in command_line(child)]


def wait_until_gone(pids, seconds=60):
    """Wait until these processes have ended, as those of a killed driver's Ray do by themselves."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.2)


def _until(true, what, seconds=600):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.2)
