"""A cluster's life: up, wait for its nodes, status, its pages on this machine, down to the last process.

Thin: `ray up` and `ray down` do the work; here is what they leave open.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.cluster import capacity, jobs, known_clusters, provider
from orchestrator.cluster.head import Head, free_port
from orchestrator.cluster.jobs import DASHBOARD, ENDED
from orchestrator.cluster.known_clusters import KnownCluster

POLL_S = 2.0
STOP_RECORD = (
    "test -f ~/upsweep/record.json || exit 0; "
    'pid=$(sed "s/.*pid.: //; s/[^0-9].*//" ~/upsweep/record.json); kill -TERM $pid 2>/dev/null || exit 0; '
    "for i in $(seq 300); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.2; done; kill -KILL $pid"
)
STOP_RAY = "test ! -x ~/venv/bin/ray || PATH=~/venv/bin:$PATH ~/venv/bin/ray stop --force"
Say = Callable[[str], None]


def up(file: Path, nodes: int, deadline_s: float, say: Say) -> int:
    """`ray up`, then wait until `nodes` are alive (0: those that the file starts at once)."""
    config = known_clusters.read(file)
    if any("/CHANGE-ME" in line for line in config["setup_commands"]):
        raise UserError(f"{file.name} still names the storage CHANGE-ME: set UPSWEEP_STORAGE in it first")
    trace = known_clusters.from_file(file)
    _reachable(trace)
    if code := _launcher("up", file, config):
        raise UserError(f"ray up {file.name} ended with status {code}; its last lines above say why")
    trace = known_clusters.from_file(file)  # with the key that was made
    known_clusters.remember(trace)
    wait(trace, nodes, deadline_s, say)
    return 0


def _reachable(trace: KnownCluster) -> None:
    """UserError in seconds where `ray up` would try for a quarter of an hour, or print its whole schema."""
    provider.check_credentials(trace)
    if trace.provider == "local":
        try:
            Head(trace).run("true", limit_s=15)
        except UserError:
            raise UserError(
                f"the head {trace.address} of {Path(trace.file).name} does not answer ssh as {trace.user}: "
                f"is it on, is there a network, and does it take this machine's key?"
            ) from None


def wait(trace: KnownCluster, nodes: int, deadline_s: float, say: Say) -> None:
    """Return when `nodes` are alive; UserError after `deadline_s` with how many are."""
    head = Head(trace)
    wanted = nodes or _at_once(head.facts.config)
    until, shown = time.monotonic() + deadline_s, -1
    while True:
        alive = len(alive_nodes(head))
        if alive != shown:
            say(f"{alive} of {wanted} nodes alive")
            shown = alive
        if alive >= wanted:
            return
        if time.monotonic() > until:
            raise UserError(
                f"{alive} of {wanted} nodes are alive after {deadline_s:.0f} s; what the autoscaler says: "
                f"ray exec {Path(trace.file).name} 'tail -n 50 /tmp/ray/session_latest/logs/monitor.*'"
            )
        time.sleep(POLL_S)


def _at_once(config: dict[str, Any]) -> int:
    """The head, and workers that are started without being asked for."""
    return 1 + sum(int(kind.get("min_workers", 0)) for kind in config["available_node_types"].values())


def alive_nodes(head: Head) -> list[dict[str, Any]]:
    """The nodes that Ray itself counts as alive (`ray status` lags by many seconds)."""
    with head.tunnel(DASHBOARD) as (port,):
        question = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v0/nodes?detail=1",
            headers={"Authorization": f"Bearer {head.facts.token}"},
        )
        try:
            with urllib.request.urlopen(question, timeout=15) as answer:
                rows = json.load(answer)["data"]["result"]["result"]
        except urllib.error.HTTPError as error:
            raise UserError(f"cluster '{head.trace.name}' refuses its own token: {error}") from None
        except OSError as error:
            raise head.silent(str(error)) from None
    return [row for row in rows if row["state"] == "ALIVE"]


def status(trace: KnownCluster) -> list[str]:
    """Nodes now and at most, what runs, where the record is."""
    head = Head(trace)
    nodes = alive_nodes(head)
    held = [n["resources_total"] for n in nodes]
    gpus, cpus = (int(sum(h.get(k, 0) for h in held)) for k in ("GPU", "CPU"))
    now = capacity.Size(len(nodes), cpus, gpus)
    facts = head.facts
    lines = [
        f"cluster '{trace.name}' ({trace.provider}), head {head.address}",
        f"nodes    {now} now; at most {capacity.in_words(facts.config)}",
        f"storage  {facts.storage}",
        f"MLflow   {facts.tracking_uri or 'does not run'} (python experiments/cluster.py ui)",
    ]
    known: dict[str | None, str] = {job.id: job.sweep for job in jobs.list_jobs(head)}
    with jobs.job_client(head) as client:
        for job in client.list_jobs():
            if str(job.status.value) not in ENDED:
                lines.append(f"runs     {known.get(job.submission_id, '')} ({job.submission_id})")
    return lines


def ui(trace: KnownCluster, say: Say) -> int:
    """MLflow and Ray's dashboard on ports of this machine, until Ctrl-C."""
    head = Head(trace)
    record = head.facts.tracking_uri.removeprefix("http://")
    if not record:
        raise UserError(f"MLflow does not run on the head of cluster '{trace.name}'")
    with head.tunnel(record, DASHBOARD, ports=(_port(5000), _port(8265))) as (mlflow, dashboard):
        say(f"MLflow at http://127.0.0.1:{mlflow}, Ray at http://127.0.0.1:{dashboard} (Ctrl-C ends both)")
        say("Ray's page asks for the token once: ssh to the head, cat ~/.ray/auth_token")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


def down(trace: KnownCluster, say: Say) -> int:
    """The record closed and copied, Ray ended on every machine, then `ray down`; the trace forgotten."""
    config = known_clusters.read(Path(trace.file))
    provider.check_credentials(
        trace
    )  # or `ray down` would print its whole schema, and the trace would stay as it is
    try:
        head = Head(trace)
        head.run(STOP_RECORD, limit_s=90)
        say("MLflow stopped, its database is in the storage")
        if trace.provider == "local":  # `ray down` leaves workers running
            for host in config["provider"]["worker_ips"]:
                _stop_ray(head, host, say)
            head.run(STOP_RAY, limit_s=60)
    except UserError as error:
        say(str(error).partition(":")[0])
    if code := _launcher("down", Path(trace.file), config):
        raise UserError(f"ray down ended with status {code}; machines may still run")
    known_clusters.forget(trace)
    say(f"cluster '{trace.name}' is down")
    return 0


def _stop_ray(head: Head, host: str, say: Say) -> None:
    try:
        Head(head.trace, host).run(STOP_RAY, limit_s=60)
    except UserError:
        say(f"{host} does not answer; if it is on, Ray still runs there")


def _launcher(verb: str, file: Path, config: dict[str, Any]) -> int:
    """Ray's own command. Autoscaler 2 never starts the last of one's own machines, so those get the first."""
    env = dict(os.environ)
    if config["provider"]["type"] == "local":
        env.setdefault("RAY_UP_enable_autoscaler_v2", "0")
    beside = Path(sys.executable).with_name("ray")
    ray = str(beside) if beside.exists() else shutil.which("ray") or "ray"
    return subprocess.run([ray, verb, "-y", str(file)], env=env, cwd=file.parent).returncode


def _port(wanted: int) -> int:
    with socket.socket() as probe:
        return free_port() if probe.connect_ex(("127.0.0.1", wanted)) == 0 else wanted
