"""The life of a cluster: start, wait for its nodes, show status and web pages, shut down.

`ray up` and `ray down` do the work; this module checks before them and does what they leave out.
"""

import json
import os
import shlex
import shutil
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
from orchestrator.cluster.head import DASHBOARD, Head, free_port, is_open
from orchestrator.cluster.known_clusters import KnownCluster

POLL_S = 2.0
STOP_MLFLOW = (
    "test -f ~/upsweep/record.json || exit 0; "
    'pid=$(sed "s/.*pid.: //; s/[^0-9].*//" ~/upsweep/record.json); kill -TERM $pid 2>/dev/null || exit 0; '
    "for i in $(seq 300); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.2; done; kill -KILL $pid"
)
STOP_RAY = "test ! -x ~/venv/bin/ray || PATH=~/venv/bin:$PATH ~/venv/bin/ray stop --force"
Say = Callable[[str], None]


def up(file: Path, nodes: int, deadline_s: float, say: Say) -> int:
    """Run `ray up`, then wait until `nodes` are alive (0: those that the file starts at once)."""
    config = known_clusters.read(file)
    if any("/CHANGE-ME" in line for line in config["setup_commands"]):
        raise UserError(f"{file.name} still names the storage CHANGE-ME: set UPSWEEP_STORAGE in it first")
    _check_reachable(known_clusters.from_file(file))
    if code := _ray("up", file, config):
        raise UserError(f"ray up {file.name} ended with status {code}; its last lines above say why")
    cluster = known_clusters.from_file(file)  # again, because `ray up` may have made an ssh key
    known_clusters.remember(cluster)
    wait(cluster, nodes, deadline_s, say)
    return 0


def _check_reachable(cluster: KnownCluster) -> None:
    """Raise UserError in seconds if `ray up` would try for a quarter of an hour or print its whole schema."""
    provider.check_credentials(cluster)
    if cluster.provider == "local":
        try:
            Head(cluster).run("true", limit_s=15)
        except UserError:
            raise UserError(
                f"the head {cluster.address} of {Path(cluster.file).name} does not answer ssh as "
                f"{cluster.user}: check that it is on, reachable, and accepts this machine's SSH key"
            ) from None


def wait(cluster: KnownCluster, nodes: int, deadline_s: float, say: Say) -> None:
    """Return when `nodes` are alive (0: those that start at once). UserError after `deadline_s` seconds."""
    head = Head(cluster)
    kinds = head.info.config["available_node_types"].values()
    wanted = nodes or 1 + sum(int(kind.get("min_workers", 0)) for kind in kinds)
    deadline, shown = time.monotonic() + deadline_s, -1
    while (alive := len(alive_nodes(head))) < wanted:
        if alive != shown:
            say(f"{alive} of {wanted} nodes alive")
            shown = alive
        if time.monotonic() > deadline:
            raise UserError(
                f"{alive} of {wanted} nodes are alive after {deadline_s:.0f} s; read the autoscaler's log: "
                f"ray exec {shlex.quote(cluster.file)} 'tail -n 50 /tmp/ray/session_latest/logs/monitor.*'"
            )
        time.sleep(POLL_S)
    say(f"{alive} of {wanted} nodes alive")


def alive_nodes(head: Head) -> list[dict[str, Any]]:
    """Return the nodes that Ray itself counts as alive (`ray status` is many seconds late)."""
    with head.tunnel(DASHBOARD) as (port,):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v0/nodes?detail=1",
            headers={"Authorization": f"Bearer {head.info.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                rows = json.load(answer)["data"]["result"]["result"]
        except urllib.error.HTTPError as error:
            raise UserError(
                f"cluster '{head.cluster.name}' refuses the token in its head's ~/.ray/auth_token ({error}): "
                f"restart Ray with upsweep cluster up"
            ) from None
        except (OSError, ValueError, LookupError, TypeError) as error:  # or something else answers there
            raise head.unreachable(str(error)) from None
    return [row for row in rows if row["state"] == "ALIVE"]


def status(cluster: KnownCluster) -> list[str]:
    """Return lines about nodes now and at most, storage, MLflow and running sweeps."""
    head = Head(cluster)
    nodes = [{"Alive": True, "Resources": row["resources_total"]} for row in alive_nodes(head)]
    lines = [
        f"cluster '{cluster.name}' ({cluster.provider}), head {head.address}",
        f"nodes    {capacity.now(nodes)} now; at most {capacity.describe_maximum(head.info.config)}",
        f"storage  {head.storage}",
        f"MLflow   {head.tracking_uri or 'does not run'} (upsweep cluster ui)",
    ]
    with head.client() as client:
        lines += [f"runs     {job.sweep or 'a command'} ({job.id})" for job in jobs.running(client)]
    return lines


def ui(cluster: KnownCluster, say: Say) -> int:
    """Forward MLflow and Ray's dashboard to ports of this machine until Ctrl-C."""
    head = Head(cluster)
    mlflow_address = head.tracking_uri.removeprefix("http://")
    if not mlflow_address:
        raise UserError(
            f"MLflow does not run on the head of cluster '{cluster.name}': start it with upsweep cluster up"
        )
    ports = [free_port() if is_open(default) else default for default in (5000, 8265)]
    with head.tunnel(mlflow_address, DASHBOARD, ports=ports) as (mlflow, dashboard):
        say(f"MLflow at http://127.0.0.1:{mlflow}, Ray at http://127.0.0.1:{dashboard} (Ctrl-C ends both)")
        say("Ray's page asks for the token once: ssh to the head, cat ~/.ray/auth_token")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


def down(cluster: KnownCluster, say: Say) -> int:
    """Stop MLflow, whose service then copies its database to the storage; stop Ray; run `ray down`."""
    config = known_clusters.read(Path(cluster.file))
    provider.check_credentials(cluster)  # or `ray down` would print its whole schema
    try:
        head = Head(cluster)
        head.run(STOP_MLFLOW, limit_s=90)
        say("MLflow stopped, its database is in the storage")
        if cluster.provider == "local":  # `ray down` does not stop the workers
            for host in config["provider"]["worker_ips"]:
                _stop_ray(cluster, host, say)
            head.run(STOP_RAY, limit_s=60)
    except UserError as error:
        say(str(error).partition(":")[0])
    if code := _ray("down", Path(cluster.file), config):
        raise UserError(
            f"ray down ended with status {code}; machines may still run: check "
            f"them at the provider, and try again"
        )
    known_clusters.forget(cluster)
    say(f"cluster '{cluster.name}' is down")
    return 0


def _stop_ray(cluster: KnownCluster, host: str, say: Say) -> None:
    try:
        Head(cluster, host).run(STOP_RAY, limit_s=60)
    except UserError:
        say(f"{host} does not answer; if it is on, Ray still runs there")


def _ray(verb: str, file: Path, config: dict[str, Any]) -> int:
    """Run `ray up` or `ray down`; return its exit status.

    Machines of one's own get Ray's first autoscaler: the second never starts the last of them.
    """
    env = dict(os.environ)
    if config["provider"]["type"] == "local":
        env.setdefault("RAY_UP_enable_autoscaler_v2", "0")
    same_environment = Path(sys.executable).with_name("ray")
    ray = str(same_environment) if same_environment.exists() else shutil.which("ray") or "ray"
    return subprocess.run([ray, verb, "-y", str(file)], env=env, cwd=file.parent).returncode
