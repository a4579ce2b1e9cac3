"""Batch norm that is synchronised over ranks, and the recalibration of its running statistics."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from datasets.errors import UserError
from trainers.distributed import ALONE, Ranks
from trainers.numerics import measuring_numerics


class BatchNorm(nn.BatchNorm2d):
    """Batch norm over the whole batch, even if several ranks share it.

    It does not count its batches while its running mean is exponential: torch reads that counter only for a
    plain mean but increments it at each call, which was one in fifteen of a step's operations on the device.
    """

    ranks: Ranks = ALONE
    batches = 1
    """Batches of equal size that an input joins; each has moments of its own, if there are several ranks."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and self.ranks.world > 1:
            return self._shared(input)
        if not self.training or self.momentum is None:
            return super().forward(input)
        running = self.running_mean, self.running_var
        return batch_norm(input, *running, self.weight, self.bias, True, self.momentum, self.eps)

    def _shared(self, x: Tensor) -> Tensor:
        """Normalise by the moments over all ranks; gradients of the moments reach every rank."""
        with torch.autocast(x.device.type, enabled=False):
            exact = x if x.dtype == torch.float64 else x.float()
            exact = exact.unflatten(0, (self.batches, -1))
            own = torch.var_mean(exact, (1, 3, 4), correction=0, keepdim=True)
            variances, means = self.ranks.gather(torch.stack(own)).unbind(1)  # one message, and one backward
            mean = means.mean(0)  # (batches, 1, C, 1, 1)
            variance = variances.mean(0) + (means - mean).square().mean(0)  # centred: no cancellation
            count = self.ranks.world * exact[0].numel() // self.num_features
            for moments in zip(mean.detach(), variance.detach(), strict=True):
                self._remember(*(m.flatten() for m in moments), count)
            scale = self.weight[:, None, None] * (variance + self.eps).rsqrt()
            normalised = (exact - mean) * scale + self.bias[:, None, None]
            return normalised.to(x.dtype).flatten(0, 1)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running moments; the running variance is unbiased for `count` values."""
        weight = self.momentum
        if weight is None:
            self.num_batches_tracked.add_(1)
            weight = 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * (count / (count - 1)), weight)


def synchronise(module: nn.Module, ranks: Ranks) -> None:
    """Make the batch norms of `module` use the batches of all `ranks`.

    UserError if there are several ranks, and a batch norm is not a `BatchNorm`.
    """
    for name, part in module.named_modules():
        if isinstance(part, BatchNorm):
            part.ranks = ranks
        elif ranks.world > 1 and isinstance(part, nn.modules.batchnorm._BatchNorm):
            raise UserError(
                f"{type(part).__name__} '{name}' is not synchronised over several processes: build it with "
                f"norm_layers (trainers/models/layers.py), or train in one process"
            )


def has_batch_norm(module: nn.Module) -> bool:
    """Return True if `module` contains a `BatchNorm`."""
    return any(isinstance(m, BatchNorm) for m in module.modules())


@contextmanager
def joined_batches(module: nn.Module, batches: int) -> Iterator[None]:
    """Let inputs of `module` join as many batches, each normalised by its own moments over all ranks."""
    norms = [m for m in module.modules() if isinstance(m, BatchNorm)]
    for m in norms:
        m.batches = batches
    try:
        yield
    finally:
        for m in norms:
            m.batches = 1


@torch.no_grad()
def recalibrate_batch_norm(module: nn.Module, lr_images: Iterable[Tensor]) -> None:
    """Replace the running BN statistics of `module` by their mean over `lr_images`; leave it in eval mode.

    `lr_images` are batches (N, 3, h, w) in [0, 1]. Averaged weights need this, because the statistics that
    the live weights collected do not fit them.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    if norms:
        momenta = [m.momentum for m in norms]
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # a plain mean over the batches
        module.train()
        with measuring_numerics(next(module.parameters()).device):
            for lr_image in lr_images:
                module(lr_image)
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
    module.eval()
