"""Means of the gradient shares that the training loop logs, over one phase of a trial."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SHARE = "gradient_share/"


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
