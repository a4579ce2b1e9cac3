"""Collective operations of the processes (ranks) that train one network; a single process needs none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


@dataclass(frozen=True)
class Ranks:
    """The index of this process among `world` processes; each has an equal share of every batch."""

    rank: int = 0
    world: int = 1

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean of all elements of `x` over all ranks; its gradient reaches every rank."""
        return self.means(x.mean())

    def means(self, x: Tensor) -> Tensor:
        """Return the mean of each element of `x` over all ranks; its gradient reaches every rank."""
        return x if self.world == 1 else all_reduce(x) / self.world

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over ranks, without a gradient; one value that is not finite makes it not finite."""
        if self.world > 1:
            dist.all_reduce(x)
        return x

    def average(self, grads: list[Tensor]) -> list[Tensor]:
        """Return gradients averaged over ranks, in one message."""
        if self.world == 1:
            return grads
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        parts = (flat / self.world).split([g.numel() for g in grads])
        return [torch.empty_like(g).copy_(p.view(g.shape)) for g, p in zip(grads, parts, strict=True)]

    def total(self, number: float) -> float:
        """Return the sum of a number over ranks; every rank must call this."""
        if self.world == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64, device=_collective_device())
        dist.all_reduce(total)
        return total.item()

    def any(self, flag: bool) -> bool:
        """Return True if `flag` is True on any rank; every rank must call this."""
        return bool(self.total(float(flag)))

    def wait(self) -> None:
        """Wait until every rank has called this."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """Yield the ranks that torchrun started and this rank's device; else one rank and `device`."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), world), device
    finally:
        dist.destroy_process_group()


def _collective_device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
