"""Detect losses and gradients that are not finite, on the device: no training step waits for the check."""

import torch
from torch import Tensor

from trainers.distributed import ALONE, Ranks
from trainers.state import Diverged, TrainState

MAX_ROWS = 4096  # a run that seldom calls `raise_if_diverged` is checked after this many rows


class DivergenceGuard:
    """Records the losses and gradient norms of each step, and remembers the first that is not finite.

    `bad` is a float on the device: 0.0, then 1.0 from the first value on that is not finite. Optimizers read
    it and skip their update if it is 1. Only `raise_if_diverged` waits for the device; it reads from the
    recorded rows which step and term it was.
    """

    def __init__(self, state: TrainState, ranks: Ranks = ALONE) -> None:
        self.state, self.ranks = state, ranks
        device = next(state.generator.parameters()).device
        self.bad = torch.zeros((), dtype=torch.float32, device=device)  # as GradScaler has it
        self.one = torch.ones_like(self.bad)
        self.values: dict[str, Tensor] = {}
        self.pending: list[str] = []
        self.rows: list[tuple[int, list[str], Tensor]] = []
        self.buffers = [b for m in (state.generator, state.discriminator) if m for b in m.buffers()]
        self.buffers_before = _bytes(self.buffers) if self.buffers else None

    def begin(self) -> None:
        """Begin a step: clear the values of the last one, and copy the running statistics."""
        self.values, self.pending = {}, []
        if self.buffers_before is not None:
            # torch.where and not an if: an if would wait for the device
            self.buffers_before = torch.where(self.bad > 0, self.buffers_before, _bytes(self.buffers))

    def record(self, term: str, value: Tensor, parts: int = 1) -> None:
        """Store `value` for the log and the next `latch_step`; `parts` values of one term are averaged."""
        value = value.detach().float()
        if parts > 1:
            value = value / parts + self.values.get(term, 0.0)
        self.values[term] = value
        if term not in self.pending:
            self.pending.append(term)

    def latch_step(self, step: int) -> None:
        """Set `bad` if a value recorded since the last call is not finite; call it before the updates."""
        row = self.ranks.sum(torch.stack([self.values[t] for t in self.pending]))
        # GradScaler's own check: one operation that sets `bad` if a value is not finite
        torch._amp_foreach_non_finite_check_and_unscale_([row], self.bad, self.one)
        self.rows.append((step, self.pending, row))
        self.pending = []
        if len(self.rows) >= MAX_ROWS:
            self.raise_if_diverged()

    def raise_if_diverged(self) -> None:
        """Raise `Diverged` for the first value that was not finite; waits for the device.

        Step number and running statistics are first reset to their values before that step.
        """
        if not self.bad.item():
            self.rows.clear()
            return
        step, term = next(
            (step, term)
            for step, terms, row in self.rows
            for term, finite in zip(terms, row.isfinite().tolist(), strict=True)
            if not finite
        )
        self._restore_buffers()
        self.state.step = step - 1
        raise Diverged(step, term)

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Return 1 while every value was finite, then 0; a factor for updates."""
        return (1 - self.bad).to(dtype)

    def _restore_buffers(self) -> None:
        if self.buffers_before is None:
            return
        parts = self.buffers_before.split([b.numel() * b.element_size() for b in self.buffers])
        for b, part in zip(self.buffers, parts, strict=True):
            b.copy_(part.clone().view(b.dtype).view_as(b))


def _bytes(buffers: list[Tensor]) -> Tensor:
    """Return all buffers, counters included, as one new tensor of bytes."""
    return torch.cat([b.contiguous().view(-1).view(torch.uint8) for b in buffers])
