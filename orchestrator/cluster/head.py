"""The head of a cluster over ssh: what it knows, commands on it, and tunnels to what listens there."""

import base64
import json
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datasets.errors import UserError
from orchestrator.cluster import provider
from orchestrator.cluster.known_clusters import KnownCluster, home

CONNECT_S = 5
"""Seconds in which a living head answers."""
FILES = {
    "token": "~/.ray/auth_token",
    "record": "~/upsweep/record.json",
    "env": "~/upsweep/env",
    "config": "~/ray_bootstrap_config.yaml",
}


@dataclass(frozen=True)
class HeadInfo:
    """What the head says about its cluster."""

    token: str
    tracking_uri: str
    env: dict[str, str]
    config: dict[str, Any]

    @property
    def storage(self) -> str:
        """Where the cluster keeps sweeps."""
        return self.env.get("UPSWEEP_STORAGE", "")


class Head:
    """A head that answers; UserError in seconds where it does not."""

    def __init__(self, trace: KnownCluster, address: str = "") -> None:
        """`address` is asked of the provider where it is not given."""
        self.trace = trace
        self.address = address or provider.head_address(trace)

    def ssh(self, *options: str) -> list[str]:
        """The words of an ssh command to the head, up to the command itself."""
        home().mkdir(parents=True, exist_ok=True)
        known = home() / f"{self.trace.name}.known_hosts"
        words = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}"]
        words += ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known}"]
        words += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR"]
        words += ["-o", "IdentitiesOnly=yes", "-i", self.trace.key] if self.trace.key else []
        return [*words, *options, f"{self.trace.user}@{self.address}"]

    def run(self, command: str, limit_s: float = 30.0) -> str:
        """What `command` prints on the head; UserError where the head cannot be reached or it fails."""
        words = [*self.ssh(), f"bash -c {shlex.quote(command)}"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise self.silent(f"no answer in {limit_s:.0f} s") from None
        if done.returncode == 255:
            raise self.silent(done.stderr.strip().rpartition("\n")[2])
        if done.returncode:
            raise UserError(f"on the head of cluster '{self.trace.name}': {done.stderr.strip()}")
        return done.stdout

    def silent(self, why: str) -> UserError:
        """A cluster was started from here and its head is away: never a reason to run here unasked."""
        return UserError(
            f"cluster '{self.trace.name}' was started from here, but its head {self.address} does not answer "
            f"({why}): bring it back with python experiments/cluster.py up, or use --local to run here"
        )

    @cached_property
    def facts(self) -> HeadInfo:
        """Token, storage, MLflow and node types, in one visit."""
        parts = "; ".join(f"base64 -w0 {path} 2>/dev/null; echo" for path in FILES.values())
        lines = self.run(parts, limit_s=15).split("\n")
        texts = {name: base64.b64decode(line).decode() for name, line in zip(FILES, lines, strict=False)}
        if not texts["token"] or not texts["config"]:
            raise UserError(
                f"cluster '{self.trace.name}' is not ready: its head {self.address} has no token yet; wait "
                f"for ray up to end, or start it with the project's cluster.yaml"
            )
        record = json.loads(texts["record"] or "{}")
        words = shlex.split(texts["env"].removeprefix("export"))
        env = dict(word.split("=", 1) for word in words if "=" in word)
        return HeadInfo(texts["token"].strip(), record.get("uri", ""), env, json.loads(texts["config"]))

    @contextmanager
    def tunnel(self, *targets: str, ports: Sequence[int] = ()) -> Iterator[list[int]]:
        """Local ports that lead to `targets` (HOST:PORT as the head sees them), for as long as the block."""
        mine = [port or free_port() for port in (ports or [0] * len(targets))]
        forwards = [w for p, t in zip(mine, targets, strict=True) for w in ("-L", f"127.0.0.1:{p}:{t}")]
        words = self.ssh("-N", "-o", "ExitOnForwardFailure=yes", *forwards)
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            self._wait_open(process, mine)
            yield mine
        finally:
            process.terminate()
            process.wait()
            if process.stderr:
                process.stderr.close()

    def _wait_open(self, process: "subprocess.Popen[str]", ports: Sequence[int]) -> None:
        deadline = time.monotonic() + 2 * CONNECT_S
        for port in ports:
            while not _listens(port):
                if process.poll() is not None:
                    said = process.stderr.read().strip() if process.stderr else ""
                    raise self.silent(said.rpartition("\n")[2])
                if time.monotonic() > deadline:
                    raise self.silent("the tunnel does not open")
                time.sleep(0.05)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
