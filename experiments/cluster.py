"""Machines for sweeps: upsweep cluster up | wait | status | ui | down.

up      ray up, then wait until the nodes are alive (plain `ray up cluster.yaml` works as well)
wait    wait for --nodes
status  print nodes now and at most, running sweeps, storage, MLflow
ui      show MLflow and Ray's dashboard on this machine, through ssh
down    stop MLflow with its database in the storage, stop Ray on every machine, ray down
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from datasets.errors import UserError, unknown
from experiments.common import cli
from orchestrator.cluster import known_clusters, launcher

VERBS = ("up", "wait", "status", "ui", "down")


@dataclass(frozen=True)
class ClusterOptions:
    """Start, watch and end a cluster."""

    verb: Annotated[str, tyro.conf.Positional]
    """up, wait, status, ui or down."""
    file: str = ""
    """Its cluster file; empty: the cluster that is up, for `up` cluster.yaml."""
    nodes: int = 0
    """Nodes to wait for, with the head; 0: all that start at once (min_workers)."""
    deadline_s: float = 900.0
    """Seconds to wait for them."""


def main() -> int:
    """Parse, act, print."""
    options = cli.parse(ClusterOptions)
    if options.verb not in VERBS:
        raise unknown("verb", options.verb, VERBS)
    file = Path(options.file).resolve() if options.file else cli.ROOT / "cluster.yaml"
    if not file.is_file():
        raise UserError(f"--file {options.file} does not exist; name a cluster file such as cluster.yaml")
    if options.verb == "up":
        return launcher.up(file, options.nodes, options.deadline_s, print)
    cluster = known_clusters.from_file(file) if options.file else known_clusters.latest()
    if cluster is None:
        raise UserError(
            "no cluster was started from here: start one with upsweep cluster up, or name its "
            "cluster file with --file"
        )
    if options.verb == "wait":
        launcher.wait(cluster, options.nodes, options.deadline_s, print)
    elif options.verb == "status":
        cli.say("\n".join(launcher.status(cluster)))
    else:
        return {"ui": launcher.ui, "down": launcher.down}[options.verb](cluster, print)
    return 0


if __name__ == "__main__":
    cli.run(main)
