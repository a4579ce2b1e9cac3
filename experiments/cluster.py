"""Machines for sweeps: python experiments/cluster.py up | wait | status | ui | down.

up      ray up, then waits until the nodes are alive (plain `ray up cluster.yaml` works as well)
wait    waits for --nodes
status  nodes now and at most, running sweeps, storage, MLflow
ui      MLflow and Ray's dashboard on this machine, through ssh
down    closes the record, ends Ray on every machine, ray down
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
class Options:
    """Start, watch and end a cluster."""

    verb: Annotated[str, tyro.conf.Positional]
    """up, wait, status, ui or down."""
    file: str = ""
    """Its cluster file; empty: the cluster that is up, else cluster.yaml."""
    nodes: int = 0
    """Nodes to wait for, the head included; 0: those that start without being asked for."""
    deadline_s: float = 900.0
    """Seconds to wait for them."""


def main() -> int:
    """Parse, act, print."""
    options = cli.parse(Options)
    if options.verb not in VERBS:
        raise unknown("verb", options.verb, VERBS)
    given = Path(options.file).resolve() if options.file else cli.ROOT / "cluster.yaml"
    if not given.is_file():
        raise UserError(f"--file {options.file} does not exist")
    if options.verb == "up":
        return launcher.up(given, options.nodes, options.deadline_s, print)
    found = known_clusters.from_file(given) if options.file else known_clusters.latest()
    if found is None:
        raise UserError("no cluster was started from here: python experiments/cluster.py up")
    if options.verb == "wait":
        launcher.wait(found, options.nodes, options.deadline_s, print)
    elif options.verb == "status":
        print("\n".join(launcher.status(found)))
    else:
        return {"ui": launcher.ui, "down": launcher.down}[options.verb](found, print)
    return 0


if __name__ == "__main__":
    cli.run(main)
