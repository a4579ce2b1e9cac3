"""Collective operations of the processes (ranks) that train one network; a single process needs none."""

import os
from collections.abc import Iterator, Sequence
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

    def means(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Return the mean of each tensor's elements over all ranks, in one message.

        Gradients reach every rank, also in one message.
        """
        own = [x.mean() for x in tensors]
        return own if self.world == 1 else self.gather(torch.stack(own)).mean(0).unbind()

    def gather(self, x: Tensor) -> Tensor:
        """Return the `x` of all ranks, (world, *x.shape), in one message; its gradient reaches every rank."""
        return _Gather.apply(x, self.rank, self.world)

    def average(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return each tensor averaged over ranks, without a gradient, in one message.

        Each is dense, and laid out alike on all ranks. One value that is not finite makes the average not
        finite on every rank.
        """
        if self.world == 1:
            return tensors
        flat = torch.cat([_memory_of(x) for x in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        averaged = [torch.empty_like(x) for x in tensors]
        torch._foreach_copy_([_memory_of(x) for x in averaged], flat.split([x.numel() for x in tensors]))
        return averaged

    def total(self, number: float) -> float:
        """Return the sum of a number over ranks; every rank must call this."""
        if self.world == 1:
            return number
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        total = torch.tensor(number, dtype=torch.float64, device=device)
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
        ctx.rank, ctx.world = rank, world
        rows = x.new_zeros((world, *x.shape))
        rows[rank] = x
        dist.all_reduce(rows)
        return rows

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _OwnRow.apply(gradient, ctx.rank, ctx.world), None, None


class _OwnRow(torch.autograd.Function):
    """This rank's row of the sum over ranks: the transpose of `_Gather`, as `_Gather` is of this."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank, ctx.world = rank, world
        total = rows.contiguous().clone()
        dist.all_reduce(total)
        return total[rank].clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _Gather.apply(gradient, ctx.rank, ctx.world), None, None


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
