"""Detect losses and gradients that are not finite, on the device: no training step waits for the check."""

import torch
from torch import Tensor, nn

from trainers.state import Diverged, TrainState

ALIGNMENT = 16  # bytes
MAX_ROWS = 4096  # a run that seldom calls `raise_if_diverged` is checked after this many rows


class DivergenceGuard:
    """Records the losses and gradient norms of each step, and remembers the first that is not finite.

    `bad` is a float on the device: 0.0, then 1.0 from the first value on that is not finite. Optimizers read
    it and skip their update if it is 1. Only `raise_if_diverged` waits for the device; it reads from the
    recorded rows which step and term it was.
    """

    def __init__(self, state: TrainState, *, one_block: bool = True) -> None:
        """`one_block` moves all buffers into one piece of memory; torch.compile refuses such buffers."""
        self.state = state
        device = next(state.generator.parameters()).device
        self.bad = torch.zeros((), dtype=torch.float32, device=device)  # as GradScaler has it
        self.one = torch.ones_like(self.bad)
        self.values: dict[str, Tensor] = {}
        self.pending: list[str] = []
        self.rows: list[tuple[int, list[str], Tensor]] = []
        modules = [m for m in (state.generator, state.discriminator) if m]
        self.buffers = [b for m in modules for b in m.buffers()]
        self.block = _in_one_block(modules) if one_block else None
        self.buffers_before = self._bytes().clone() if self.buffers else None

    def begin(self) -> None:
        """Begin a step: clear the values of the last one, and copy the running statistics."""
        self.values, self.pending = {}, []
        if self.buffers_before is not None:
            # torch.where and not an if: an if would wait for the device
            torch.where(self.bad > 0, self.buffers_before, self._bytes(), out=self.buffers_before)

    def record(self, term: str, value: Tensor, parts: int = 1) -> None:
        """Store `value` for the log and the next `latch_step`; `parts` values of one term are averaged."""
        value = value.detach().float()
        if parts > 1:
            value = value / parts + self.values.get(term, 0.0)
        self.values[term] = value
        if term not in self.pending:
            self.pending.append(term)

    def latch_step(self, step: int) -> None:
        """Set `bad` if a value recorded since the last call is not finite; call it before the updates.

        All ranks must hold equal values, so that they decide alike.
        """
        row = torch.stack([self.values[t] for t in self.pending])
        # GradScaler's own check: one operation that sets `bad` if a value is not finite
        torch._amp_foreach_non_finite_check_and_unscale_([row], self.bad, self.one)
        self.keep(step, self.pending, row)
        self.pending = []

    def keep(self, step: int, terms: list[str], row: Tensor) -> None:
        """Keep the values of `terms` at `step` until `raise_if_diverged` looks for the first bad one."""
        self.rows.append((step, terms, row))
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

    def unless_bad(self, weight: float | Tensor, dtype: torch.dtype) -> Tensor:
        """Return `weight` while every value was finite, then 0; a factor for updates."""
        return (1 - self.bad).to(dtype) * weight

    def _bytes(self) -> Tensor:
        """Return all buffers, counters included, as one tensor of bytes."""
        if self.block is not None:
            return self.block
        return torch.cat([b.contiguous().view(-1).view(torch.uint8) for b in self.buffers])

    def _restore_buffers(self) -> None:
        if self.buffers_before is None:
            return
        if self.block is not None:
            self.block.copy_(self.buffers_before)
            return
        parts = self.buffers_before.split([b.nbytes for b in self.buffers])
        for b, part in zip(self.buffers, parts, strict=True):
            b.copy_(part.clone().view(b.dtype).view_as(b))


def _in_one_block(modules: list[nn.Module]) -> Tensor | None:
    """Make all buffers of `modules` views of one new tensor of bytes, and return it; None without buffers.

    One kernel then copies them all: a network with batch norm has dozens, counters included.
    """
    owners = [(m, name, b) for root in modules for m in root.modules() for name, b in m._buffers.items()]
    # rounded up to what vector instructions want
    sizes = {id(b): -(-b.nbytes // ALIGNMENT) * ALIGNMENT for _, _, b in owners if b is not None}
    if not sizes:
        return None
    block = torch.zeros(sum(sizes.values()), dtype=torch.uint8, device=owners[0][2].device)
    parts = dict(zip(sizes, block.split(list(sizes.values())), strict=True))
    views: dict[int, Tensor] = {}
    for module, name, b in owners:
        if b is None:
            continue
        if id(b) not in views:
            part = parts[id(b)][: b.nbytes]
            # .data: plain views would count as changed, for the backward pass, when any of the others changes
            views[id(b)] = part.view(b.dtype).view(b.shape).copy_(b).data
        module._buffers[name] = views[id(b)]
    return block
