"""What was not finite, remembered on the device: no step waits for it, and none after it changes anything."""

import torch
from torch import Tensor

from trainers.distributed import ALONE, Ranks
from trainers.state import Diverged, TrainState

MOST_ROWS = 4096  # a run that asks less often than this is checked all the same


class DivergenceGuard:
    """The losses and gradient norms of each step, and `bad`: 0.0, then 1.0 from the first non-finite one on.

    `bad` goes to the optimizers, which skip their update where it is 1. Which step and term it was is read
    from the kept rows, at `check` and on the host alone.
    """

    def __init__(self, state: TrainState, ranks: Ranks = ALONE) -> None:
        self.state, self.ranks = state, ranks
        device = next(state.generator.parameters()).device
        self.bad = torch.zeros((), dtype=torch.float32, device=device)  # as GradScaler has it
        self.one = torch.ones_like(self.bad)
        self.values: dict[str, Tensor] = {}
        self.open: list[str] = []
        self.rows: list[tuple[int, list[str], Tensor]] = []
        self.buffers = [b for m in (state.generator, state.discriminator) if m for b in m.buffers()]
        self.before = _bytes(self.buffers) if self.buffers else None

    def begin(self) -> None:
        """Open a step: forget the last one's values, remember running statistics as they are."""
        self.values, self.open = {}, []
        if self.before is not None:
            # a where and not an if: an if would wait for the device
            self.before = torch.where(self.bad > 0, self.before, _bytes(self.buffers))

    def note(self, term: str, value: Tensor, parts: int = 1) -> None:
        """Keep `value` for the log and for the next `close`; `parts` values of one term are averaged."""
        value = value.detach().float()
        if parts > 1:
            value = value / parts + self.values.get(term, 0.0)
        self.values[term] = value
        if term not in self.open:
            self.open.append(term)

    def close(self, step: int) -> None:
        """Latch what was noted since the last `close`, before the updates that depend on it."""
        row = self.ranks.sum(torch.stack([self.values[t] for t in self.open]))
        # GradScaler's own check: one operation that sets `bad` where a value is not finite
        torch._amp_foreach_non_finite_check_and_unscale_([row], self.bad, self.one)
        self.rows.append((step, self.open, row))
        self.open = []
        if len(self.rows) >= MOST_ROWS:
            self.check()

    def check(self) -> None:
        """Raise `Diverged` for the first value that was not finite; waits for the device.

        The state is then what it was before that step: its number, and the running statistics.
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
        self._restore()
        self.state.step = step - 1
        raise Diverged(step, term)

    def alive(self, dtype: torch.dtype) -> Tensor:
        """1 while all is finite, then 0."""
        return (1 - self.bad).to(dtype)

    def _restore(self) -> None:
        if self.before is None:
            return
        parts = self.before.split([b.numel() * b.element_size() for b in self.buffers])
        for b, part in zip(self.buffers, parts, strict=True):
            b.copy_(part.clone().view(b.dtype).view_as(b))


def _bytes(buffers: list[Tensor]) -> Tensor:
    """All buffers, counters included, as one new tensor of bytes."""
    return torch.cat([b.contiguous().view(-1).view(torch.uint8) for b in buffers])
