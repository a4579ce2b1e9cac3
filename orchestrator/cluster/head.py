"""The head of a cluster over ssh: its files, commands on it, and tunnels to services that listen there."""

import base64
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from datasets.errors import UserError
from datasets.files import parse_json
from orchestrator.cluster import known_clusters, provider, ray_private
from orchestrator.cluster.capacity import describe_maximum
from orchestrator.cluster.known_clusters import KnownCluster, home

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DASHBOARD = "127.0.0.1:8265"
CONNECT_S = 5
"""Seconds within which a living head answers."""
FILES = {
    "token": "~/.ray/auth_token",
    "record": "~/upsweep/record.json",
    "env": "~/upsweep/env",
    "config": "~/ray_bootstrap_config.yaml",
}


@dataclass(frozen=True)
class HeadInfo:
    """The contents of the files on a head that describe its cluster (FILES)."""

    token: str
    """Token that Ray's dashboard asks for, from ~/.ray/auth_token."""
    tracking_uri: str
    """Address of MLflow on the head, from ~/upsweep/record.json; empty if MLflow does not run there."""
    env: dict[str, str]
    """Environment variables that the cluster file exports, from ~/upsweep/env."""
    config: dict[str, Any]
    """Ray's description of the cluster and its node types, from ~/ray_bootstrap_config.yaml."""


class Head:
    """The head of a known cluster; every method raises UserError within seconds if it does not answer."""

    ui_hint = "; MLflow: upsweep cluster ui"
    """The command that shows the cluster's MLflow, after a semicolon."""

    def __init__(self, cluster: KnownCluster, address: str = "") -> None:
        """Take the provider's address of the head unless `address` is given."""
        self.cluster = cluster
        self.address = address or provider.head_address(cluster)
        known_clusters.check_word("the address of the head", self.address)
        self.label = f"cluster '{cluster.name}'"

    @property
    def storage(self) -> str:
        """Folder or URL for the sweeps of this cluster; empty if its cluster file names none."""
        return self.info.env.get("UPSWEEP_STORAGE", "")

    @property
    def tracking_uri(self) -> str:
        """Address of MLflow on the head; empty if it does not run there."""
        return self.info.tracking_uri

    def describe(self) -> str:
        """Return one line on the cluster, after its head has answered."""
        size = describe_maximum(self.info.config)
        known_clusters.remember(self.cluster)
        return f"{self.label}, head {self.address}, at most {size}; --local runs here"

    @contextmanager
    def client(self) -> Iterator["JobSubmissionClient"]:
        """Yield Ray's own client, through an ssh tunnel and with the head's token.

        Raises:
            UserError: Ray does not answer, or refuses the token.
        """
        from ray.exceptions import AuthenticationError

        with self.tunnel(DASHBOARD) as (port,):
            headers = {"Authorization": f"Bearer {self.info.token}"}
            try:
                yield ray_private.job_client(f"http://127.0.0.1:{port}", headers, True)
            except (OSError, RuntimeError, AuthenticationError) as error:
                raise self._refused(error) from error

    def _refused(self, error: Exception) -> UserError:
        text = " ".join(str(error).split())
        if any(word in text for word in ("401", "403", "Unauthorized", "uthentication", "token")):
            return UserError(
                f"{self.label} refuses the token in its head's ~/.ray/auth_token: the file was changed after "
                f"Ray started; restart Ray with upsweep cluster up"
            )
        return UserError(
            f"Ray does not run on the head of {self.label} ({text[:120]}): start it with upsweep "
            f"cluster up, remove it with upsweep cluster down, or use --local to run here"
        )

    def exists(self, path: str, storage: str) -> bool:
        """Return True if the head has the absolute `path`; `storage` does not matter."""
        return self.run(f"test -e {shlex.quote(path)} && echo yes || true").strip() == "yes"

    def read(self, folder: str, name: str, storage: str) -> bytes | None:
        """Return a file of a folder of the head; None if there is none. `storage` does not matter."""
        path = shlex.quote(f"{folder}/{name}")
        text = self.run(f"test -f {path} && base64 -w0 {path} || true")
        return base64.b64decode(text) if text else None

    def ssh(self, *options: str) -> list[str]:
        """Return an ssh command line to the head, to which a remote command may be appended."""
        home().mkdir(parents=True, exist_ok=True)
        known_hosts = home() / f"{self.cluster.name}.known_hosts"
        line = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}"]
        line += ["-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known_hosts}"]
        line += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR"]
        line += ["-o", "IdentitiesOnly=yes", "-i", self.cluster.key] if self.cluster.key else []
        return [*line, *options, f"{self.cluster.user}@{self.address}"]

    def run(self, command: str, limit_s: float = 30.0) -> str:
        """Return what `command` prints on the head; UserError also if it fails."""
        line = [*self.ssh(), f"bash -c {shlex.quote(command)}"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise self.unreachable(f"no answer in {limit_s:.0f} s") from None
        if done.returncode == 255:  # ssh itself failed
            raise self.unreachable(done.stderr.strip().rpartition("\n")[2])
        if done.returncode:
            raise UserError(
                f"`{shorten(command, 80)}` failed with status {done.returncode} on the head of cluster "
                f"'{self.cluster.name}': {done.stderr.strip() or 'it printed no error'}"
            )
        return done.stdout

    def unreachable(self, reason: str) -> UserError:
        """Return the error for a cluster whose head does not answer; it never means to run here unasked."""
        return UserError(
            f"cluster '{self.cluster.name}' was started from here, but its head {self.address} does not "
            f"answer ({reason}): start it again with upsweep cluster up, or use --local to run "
            f"here"
        )

    @cached_property
    def info(self) -> HeadInfo:
        """Token, MLflow's address, settings and node types, read with one ssh command."""
        parts = "; ".join(f"base64 -w0 {path} 2>/dev/null; echo" for path in FILES.values())
        lines = self.run(parts, limit_s=15).split("\n")
        texts = {name: base64.b64decode(line).decode() for name, line in zip(FILES, lines, strict=False)}
        if not texts["token"] or not texts["config"]:
            raise UserError(
                f"cluster '{self.cluster.name}' is not ready: its head {self.address} has no token yet; wait "
                f"until ray up has ended, or start it with the project's cluster.yaml"
            )
        where = f"record.json of the head {self.address}"
        record = parse_json(texts["record"] or "{}", where)
        exports = shlex.split(texts["env"].removeprefix("export"))
        env = dict(export.split("=", 1) for export in exports if "=" in export)
        return HeadInfo(
            texts["token"].strip(),
            record.get("uri", ""),
            env,
            parse_json(texts["config"], "the configuration of the head"),
        )

    @contextmanager
    def tunnel(self, *targets: str, ports: Sequence[int] = ()) -> Iterator[list[int]]:
        """Yield a local port for each of `targets` (HOST:PORT as the head sees them) until the block ends."""
        local = [port or free_port() for port in (ports or [0] * len(targets))]
        forwards = [w for p, t in zip(local, targets, strict=True) for w in ("-L", f"127.0.0.1:{p}:{t}")]
        line = self.ssh("-N", "-o", "ExitOnForwardFailure=yes", *forwards)
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            self._wait_open(process, local)
            yield local
        finally:
            process.terminate()
            process.wait()
            if process.stderr:
                process.stderr.close()

    def _wait_open(self, process: "subprocess.Popen[str]", ports: Sequence[int]) -> None:
        deadline = time.monotonic() + 2 * CONNECT_S
        for port in ports:
            while not is_open(port):
                if process.poll() is not None:
                    text = process.stderr.read().strip() if process.stderr else ""
                    raise self.unreachable(text.rpartition("\n")[2])
                if time.monotonic() > deadline:
                    raise self.unreachable("the ssh tunnel does not open")
                time.sleep(0.05)


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port: int) -> bool:
    """Return True if something listens on this machine's `port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
