"""Collective operations of the processes (ranks) that train one network; a single process needs none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


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
        return x if self.world == 1 else self.gather(x).mean(0)

    def gather(self, x: Tensor) -> Tensor:
        """Return the `x` of all ranks, (world, *x.shape), in one message; its gradient reaches every rank."""
        return _Gather.apply(x, self.rank, self.world)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over ranks, without a gradient; one value that is not finite makes it not finite."""
        if self.world > 1:
            dist.all_reduce(x)
        return x

    def average(self, grads: list[Tensor]) -> list[Tensor]:
        """Return gradients averaged over ranks, in one message; each is dense and laid out alike."""
        if self.world == 1:
            return grads
        flat = torch.cat([_memory_of(g) for g in grads])
        dist.all_reduce(flat)
        flat /= self.world
        averaged = [torch.empty_like(g) for g in grads]
        torch._foreach_copy_([_memory_of(g) for g in averaged], flat.split([g.numel() for g in grads]))
        return averaged

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


class _Gather(torch.autograd.Function):
    """All ranks' tensors as rows; a sum over ranks with zeros elsewhere, which every backend has."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank = rank
        rows = x.new_zeros((world, *x.shape))
        rows[rank] = x
        dist.all_reduce(rows)
        return rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rank], None, None


def _memory_of(x: Tensor) -> Tensor:
    """Return a dense tensor as a vector, in the order of its memory."""
    return x.as_strided((x.numel(),), (1,))


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
