"""How large a cluster is now and how large it may become: from its nodes and its declared node types."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.cluster import capacity

CONFIG = "~/ray_bootstrap_config.yaml"
"""On a head that `ray up` made: the resolved cluster file, JSON in spite of its name."""


@dataclass(frozen=True)
class Size:
    """Machines and what they hold."""

    nodes: int
    cpus: int
    gpus: int

    def __str__(self) -> str:
        plural = "s" * (self.nodes != 1)
        return f"{self.nodes} node{plural}, {self.gpus} GPUs, {self.cpus} CPU cores"


def maximum(config: Mapping[str, Any], alive: Sequence[Mapping[str, Any]] = ()) -> Size:
    """Head and every worker that may join.

    One's own machines declare no resources: those of the living workers (`alive`, as ray.nodes() lists them)
    stand for the ones that are away.
    """
    size = _now([n for n in alive if n["Alive"] and _is_head(n)])
    nodes, cpus, gpus, left = 1, size.cpus, size.gpus, int(config["max_workers"])
    sample = _typical([n for n in alive if not _is_head(n)])
    for name, kind in config["available_node_types"].items():
        local = config["provider"]["type"] == "local"
        if name == config["head_node_type"] and not local:
            continue
        count = min(int(kind.get("max_workers", left)), left)
        holds = kind.get("resources") or sample
        nodes, left = nodes + count, left - count
        cpus += count * int(holds.get("CPU", 0))
        gpus += count * int(holds.get("GPU", 0))
    return Size(nodes, cpus, gpus)


def now(alive: Sequence[Mapping[str, Any]]) -> Size:
    """What is there, from ray.nodes()."""
    return _now([n for n in alive if n["Alive"]])


class LiveCapacity:
    """How large a cluster is, or may become where that is declared: asked anew, but not all the time."""

    EVERY_S = 2.0

    def __init__(
        self,
        nodes: Callable[[], Sequence[Mapping[str, Any]]],
        config: Mapping[str, Any] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nodes, self.config, self.clock = nodes, config, clock
        self.asked_at = -self.EVERY_S
        self.size = Size(0, 0, 0)

    def __call__(self) -> Size:
        """The present answer; nodes that nobody declared count once they are there."""
        if self.clock() - self.asked_at >= self.EVERY_S:
            alive = self.nodes()
            sizes = [now(alive)] + ([maximum(self.config, alive)] if self.config else [])
            self.size = Size(*(max(getattr(s, part) for s in sizes) for part in ("nodes", "cpus", "gpus")))
            self.asked_at = self.clock()
        return self.size


def in_words(config: Mapping[str, Any]) -> str:
    """How large the declared cluster may become, as far as its file tells."""
    size = maximum(config)
    return f"{size.nodes} nodes" if is_unknown(config, []) else str(size)


def declared() -> dict[str, Any] | None:
    """The cluster file of the head that this process runs on; None elsewhere."""
    path = Path(CONFIG).expanduser()
    return json.loads(path.read_text()) if path.exists() else None


def is_unknown(config: Mapping[str, Any], alive: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing says yet what a worker holds, so that a plan would be a guess."""
    kinds = config["available_node_types"].values()
    workers = [n for n in alive if n["Alive"] and not _is_head(n)]
    return not workers and not any(k.get("resources", {}).get("CPU") for k in kinds)


def wait_for_worker(nodes: Callable[[], Sequence[Mapping[str, Any]]], pause: Callable[[], None]) -> None:
    """Return when a worker is alive."""
    while not any(n["Alive"] and not _is_head(n) for n in nodes()):
        pause()


def _is_head(node: Mapping[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def _now(nodes: Sequence[Mapping[str, Any]]) -> Size:
    held = [n["Resources"] for n in nodes]
    return Size(len(nodes), *(int(sum(h.get(k, 0) for h in held)) for k in ("CPU", "GPU")))


def _typical(workers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The smallest of the living workers: a plan must not hope for more."""
    held = [n["Resources"] for n in workers if n["Alive"]]
    return {k: min((h.get(k, 0) for h in held), default=0) for k in ("CPU", "GPU")}


@dataclass(frozen=True)
class Capacity:
    """Where trials run, and what there is at most: an autoscaled cluster may begin without a worker."""

    description: str
    local: bool
    nodes: int
    cpus: int
    gpus: int
    room: Callable[[], capacity.Size] | None = None
    """How large it has become; None where nothing comes or goes."""

    def current(self) -> "Capacity":
        """The same place with the nodes it has by now.

        Whether trials ask for a GPU was settled at the start and stays, even where the last one has left.
        """
        if self.room is None:
            return self
        size = self.room()
        return replace(self, nodes=size.nodes, cpus=size.cpus, gpus=max(1, size.gpus) if self.gpus else 0)

    def slots(self, gpus_per_trial: float, cpus_per_trial: int) -> int:
        """How many trials run at once; a trial of several ranks takes a core for each."""
        if self.gpus:
            return max(1, min(int(self.gpus / gpus_per_trial), self.cpus // cpus_per_trial))
        return max(1, self.cpus // cpus_per_trial)
