"""A Ray actor that relays reports from the ranks of a trial to its Tune driver, in a light process."""

import asyncio
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def start_report_actor(node: str) -> Any:
    """Return a handle of a new ReportActor on `node`; it ends with the process that asked for it."""
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0)(ReportActor).options(scheduling_strategy=where).remote()


class ReportActor:
    """A queue of reports from ranks to their driver, each acknowledged when Tune has taken it."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue = asyncio.Queue()
        self.acknowledged: asyncio.Queue = asyncio.Queue()
        self.waiting, self.closed = 0, False

    async def send(self, result: dict[str, Any], pointer: str) -> None:
        """Send a report from a rank; return when the driver has acknowledged it or closed the queue."""
        if self.closed:
            return
        self.waiting += 1
        await self.reports.put((result, pointer))
        await self.acknowledged.get()
        self.waiting -= 1

    async def receive(self, limit_s: float) -> tuple[dict[str, Any], str] | None:
        """Return the next report to the driver, or None if there is none within `limit_s` seconds."""
        try:
            return await asyncio.wait_for(self.reports.get(), limit_s)
        except TimeoutError:
            return None

    async def acknowledge(self) -> None:
        """Let the rank that sent the last report continue."""
        await self.acknowledged.put(None)

    async def close(self) -> None:
        """Let every rank that waits continue, and acknowledge later reports at once."""
        self.closed = True
        for _ in range(self.waiting):
            await self.acknowledged.put(None)


class ActorReporter:
    """The reporter of a rank: it sends through a ReportActor."""

    def __init__(self, actor: Any, pointer: str) -> None:
        self.actor, self._pointer = actor, pointer

    def report(self, result: dict[str, Any], pointer: str) -> None:
        """Send a Tune result and wait for Tune's decision; the processes of a stopped trial end meanwhile."""
        ray.get(self.actor.send.remote(result, pointer))

    def pointer(self) -> str:
        """Return the pointer that Tune gave to the driver."""
        return self._pointer
