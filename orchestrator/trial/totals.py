"""Totals of a trial that its checkpoints carry: the time of all ranks, and means of gradient shares."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.results.trial_report import Usage
from trainers.distributed import Ranks

SHARE = "gradient_share/"
"""Prefix of the gradient shares that the training loop logs."""


class UsageMeter:
    """The time of one attempt at a trial, from the meter's construction on."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._began = Usage(time.monotonic(), time.process_time())
        self.this_attempt = Usage()
        """Time of this attempt alone, including work that a later attempt repeats."""
        self.before_checkpoint = Usage()
        """Time spent before the checkpoint that this attempt resumed."""

    def update(self) -> None:
        """Count up to now. A collective: every rank calls it."""
        self.this_attempt = Usage(
            time.monotonic() - self._began.seconds,
            self.ranks.total(time.process_time() - self._began.cpu_seconds),
        )

    def cumulative(self) -> Usage:
        """Return the time spent on these weights, including attempts before the checkpoint."""
        return self.before_checkpoint + self.this_attempt


@dataclass
class ShareMeans:
    """Means of gradient shares over the present phase: the last logged step says little of a whole run.

    Its `vars` are plain data for a checkpoint.
    """

    phase: str = ""
    sums: dict[str, list[float]] = field(default_factory=dict)
    """Loss term -> sum of its logged shares, and their number."""

    def add(self, phase: str, values: Mapping[str, float]) -> None:
        """Add the shares among logged values; a new phase begins anew."""
        if phase != self.phase:
            self.phase, self.sums = phase, {}
        for name in (k for k in values if k.startswith(SHARE)):
            total, count = self.sums.get(name.removeprefix(SHARE), [0.0, 0])
            self.sums[name.removeprefix(SHARE)] = [total + values[name], count + 1]

    def means(self) -> dict[str, float]:
        """Return loss term -> mean share."""
        return {name: total / count for name, (total, count) in self.sums.items()}
