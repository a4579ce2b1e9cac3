"""How the ranks of a trial reach Tune: an actor between them and their driver, in a light process."""

import asyncio
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def start_report_actor(node: str) -> Any:
    """A line on `node`; it ends with the process that asked for it."""
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0)(ReportActor).options(scheduling_strategy=where).remote()


class ReportActor:
    """From the ranks to their driver: one report at a time, each answered when Tune has taken it."""

    def __init__(self) -> None:
        self.said: asyncio.Queue = asyncio.Queue()
        self.answers: asyncio.Queue = asyncio.Queue()
        self.waiting, self.over = 0, False

    async def tell(self, payload: dict[str, Any], pointer: str) -> None:
        """By a rank; returns when the driver has answered, or has left."""
        if self.over:
            return
        self.waiting += 1
        await self.said.put((payload, pointer))
        await self.answers.get()
        self.waiting -= 1

    async def hear(self, limit_s: float) -> tuple[dict[str, Any], str] | None:
        """By the driver: the next report, or None where there is none within the limit."""
        try:
            return await asyncio.wait_for(self.said.get(), limit_s)
        except TimeoutError:
            return None

    async def answer(self) -> None:
        """By the driver: the trial goes on."""
        await self.answers.put(None)

    async def leave(self) -> None:
        """By the driver, after the last word: whoever wants to say something as well need not wait."""
        self.over = True
        for _ in range(self.waiting):
            await self.answers.put(None)


class ActorReporter:
    """The voice of a rank."""

    def __init__(self, line: Any, pointer: str) -> None:
        self.line, self._pointer = line, pointer

    def report(self, payload: dict[str, Any], pointer: str) -> None:
        """Waits until Tune has decided: of a trial that is stopped the processes are ended meanwhile."""
        ray.get(self.line.tell.remote(payload, pointer))

    def pointer(self) -> str:
        """As Tune gave it to the driver."""
        return self._pointer
