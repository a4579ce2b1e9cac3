"""The size of a cluster, now and at most, from its living nodes and its declared node types.

`nodes` are rows of ray.nodes() throughout; `config` is a cluster file as a dictionary.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets.files import read_json
from datasets.text import count
from orchestrator.cluster import kuberay

CONFIG = "~/ray_bootstrap_config.yaml"
"""On a head that `ray up` started: the resolved cluster file, JSON in spite of its name."""
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Size:
    """Machines and what they have."""

    nodes: int
    cpus: int
    gpus: int

    def __str__(self) -> str:
        plural = "s" * (self.nodes != 1)
        return f"{self.nodes} node{plural}, {self.gpus} GPUs, {self.cpus} CPU cores"


def now(nodes: Rows) -> Size:
    """Return the size of the nodes that are alive."""
    return _total([n for n in nodes if n["Alive"]])


def busy_cpus(seconds: float = 1.0) -> float:
    """Return how many CPU cores of this machine worked in the mean over `seconds`; 0 if it does not tell."""

    def ticks() -> tuple[int, int]:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        return sum(map(int, words)), sum(int(words[idle]) for idle in (3, 4))

    try:
        before, idle_before = ticks()
        time.sleep(seconds)
        after, idle_after = ticks()
    except (OSError, ValueError, IndexError):  # macOS
        return 0.0
    idle = (idle_after - idle_before) / max(1, after - before)
    return max(0.0, 1 - idle) * (os.cpu_count() or 1)


def maximum(config: Mapping[str, Any], nodes: Rows = ()) -> Size:
    """Return the size with the head and every worker that may join.

    Cluster files of one's own machines (provider `local`) declare no resources: each absent worker counts as
    the smallest worker that is alive, because a plan must not hope for more.
    """
    alive = [n for n in nodes if n["Alive"]]
    head = _total([n for n in alive if _is_head(n)])
    workers = [n["Resources"] for n in alive if not _is_head(n)]
    smallest = {k: min((w.get(k, 0) for w in workers), default=0) for k in ("CPU", "GPU")}
    count, cpus, gpus, left = 1, head.cpus, head.gpus, int(config["max_workers"])
    is_local = config["provider"]["type"] == "local"  # head and workers share one node type there
    for name, kind in config["available_node_types"].items():
        if name == config["head_node_type"] and not is_local:
            continue
        joining = min(int(kind.get("max_workers", left)), left)
        resources = kind.get("resources") or smallest
        count, left = count + joining, left - joining
        cpus += joining * int(resources.get("CPU", 0))
        gpus += joining * int(resources.get("GPU", 0))
    return Size(count, cpus, gpus)


def describe_maximum(config: Mapping[str, Any]) -> str:
    """Return the size that the declared cluster may reach, as far as its file alone says."""
    size = maximum(config)
    return count(size.nodes, "node") if is_unknown(config, []) else str(size)


def declared() -> dict[str, Any] | None:
    """Return the cluster file of the head that this process runs on; None on any other machine.

    On Kubernetes KubeRay's description of the cluster, in that form.
    """
    return read_json(Path(CONFIG).expanduser()) or kuberay.declared()


def is_unknown(config: Mapping[str, Any], nodes: Rows) -> bool:
    """Return True while neither the file nor a living worker says how large a worker is."""
    kinds = config["available_node_types"].values()
    has_worker = any(n["Alive"] and not _is_head(n) for n in nodes)
    return not has_worker and not any(k.get("resources", {}).get("CPU") for k in kinds)


def wait_for_worker(nodes: Callable[[], Rows], pause: Callable[[], None]) -> None:
    """Return when a worker is alive."""
    while not any(n["Alive"] and not _is_head(n) for n in nodes()):
        pause()


def _is_head(node: Mapping[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def _total(nodes: Rows) -> Size:
    rows = [n["Resources"] for n in nodes]
    return Size(len(nodes), *(int(sum(r.get(k, 0) for r in rows)) for k in ("CPU", "GPU")))


class LiveCapacity:
    """The larger of the present and the declared size of a cluster, read every two seconds at most."""

    EVERY_S = 2.0
    ASK_S, LONG_S = 10.0, 300.0
    """Seconds without a machine for trials after which the reason is asked for, and told without one."""

    def __init__(
        self,
        nodes: Callable[[], Rows],
        most: Callable[[Rows], Size] | None,
        clock: Callable[[], float] = time.monotonic,
        reason: Callable[[], str] = kuberay.trouble,
    ) -> None:
        """`nodes` reads the nodes (ray.nodes); `most` returns the declared maximum, given them.

        `reason` returns why machines fail to come, if that is known.
        """
        self.nodes, self.most, self.clock, self.reason = nodes, most, clock, reason
        self.read_at = -self.EVERY_S
        self.size = Size(0, 0, 0)
        self.missing_from: dict[str, float] = {}
        """"cpus" and "gpus" -> since when none is there, though some are expected."""
        self.asked_at, self.told = 0.0, ""

    def __call__(self) -> Size:
        """Return the size; undeclared nodes count once they have joined."""
        if self.clock() - self.read_at >= self.EVERY_S:
            nodes = self.nodes()
            sizes = [now(nodes)] + ([self.most(nodes)] if self.most else [])
            self.size = Size(*(max(getattr(s, part) for s in sizes) for part in ("nodes", "cpus", "gpus")))
            self.read_at = self.clock()
            for part in ("cpus", "gpus"):
                if getattr(sizes[0], part) or not getattr(self.size, part):
                    self.missing_from.pop(part, None)
                else:
                    self.missing_from.setdefault(part, self.read_at)
        return self.size

    def trouble(self, with_gpu: bool) -> str:
        """Return why no machine comes that trials could run on, each reason once; empty if none is known.

        `with_gpu` is True if trials ask for one; others do not miss it.
        """
        since = [at for part, at in self.missing_from.items() if with_gpu or part == "cpus"]
        if not since:
            self.told = ""
            return ""
        if self.clock() - max(min(since), self.asked_at) < self.ASK_S:
            return ""
        self.asked_at = self.clock()
        passed, words = self.asked_at - min(since), self.reason()
        if not words and passed > self.LONG_S:
            words = "the command `ray status` on the head tells what it asks for"
        if not words or words == self.told:
            return ""
        self.told = words
        return f"no machine for trials after {passed:.0f} s: {words}"


@dataclass(frozen=True)
class Capacity:
    """The machines that trials run on, at most: an autoscaled cluster may start without a worker."""

    description: str
    local: bool
    nodes: int
    cpus: int
    gpus: int
    live: Callable[[], Size] | None = None
    """Reads the present size; None if nodes neither join nor leave."""
    trouble: Callable[[bool], str] | None = None
    """Returns why no machine comes for trials, with or without a GPU (LiveCapacity.trouble)."""

    def current(self) -> "Capacity":
        """Return the capacity with the nodes that are there now.

        If it had GPUs at the start, it has at least one for ever: trials that ask for a GPU then wait for the
        next one instead of starting on CPU cores.
        """
        if self.live is None:
            return self
        size = self.live()
        return replace(self, nodes=size.nodes, cpus=size.cpus, gpus=max(1, size.gpus) if self.gpus else 0)

    def slots(self, gpus_per_trial: float, cpus_per_trial: int) -> int:
        """Return how many trials run at once; a trial of several ranks needs a core for each."""
        most = trials_on_gpus(self.gpus, gpus_per_trial) if self.gpus else self.cpus
        return max(1, min(most, self.cpus // cpus_per_trial))


def trials_on_gpus(gpus: int, gpus_per_trial: float) -> int:
    """Return how many trials `gpus` GPUs hold at once; a share of a GPU never spans two of them.

    Ray counts a share in steps of 0.0001, so three shares of 0.3333 fit, and three of 0.3334 do not.
    """
    if gpus_per_trial < 1:
        return gpus * int(1 / gpus_per_trial + 1e-9)
    return int(gpus / gpus_per_trial)
