"""Several processes that train one network: what they average. One process averages nothing."""

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
    """This process among `world`; each holds an equal share of every batch."""

    rank: int = 0
    world: int = 1

    def mean(self, x: Tensor) -> Tensor:
        """The mean of `x` over all ranks; its gradient reaches every rank's share."""
        return self.means(x.mean())

    def means(self, x: Tensor) -> Tensor:
        """The mean of each element of `x` over all ranks; its gradient reaches every rank."""
        return x if self.world == 1 else all_reduce(x) / self.world

    def sum(self, x: Tensor) -> Tensor:
        """The sum over ranks, without a gradient: what is not finite on one is so on all."""
        if self.world > 1:
            dist.all_reduce(x)
        return x

    def average(self, grads: list[Tensor]) -> list[Tensor]:
        """Gradients averaged over ranks, in one message."""
        if self.world == 1:
            return grads
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        parts = (flat / self.world).split([g.numel() for g in grads])
        return [torch.empty_like(g).copy_(p.view(g.shape)) for g, p in zip(grads, parts, strict=True)]

    def total(self, number: float) -> float:
        """The sum of a number over ranks; every rank must ask."""
        if self.world == 1:
            return number
        answer = torch.tensor(number, dtype=torch.float64, device=_collective_device())
        dist.all_reduce(answer)
        return answer.item()

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds on any rank; every rank must ask."""
        return bool(self.total(float(flag)))

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """The ranks that torchrun started and this one's device; this process alone where it started none."""
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
