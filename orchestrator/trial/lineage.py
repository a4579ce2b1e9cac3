"""The lineage of a trial's network: the checkpoint it resumes, and the settings of each segment of steps.

Most trials have one segment, from the warm start to the end of the GAN phase. Population based training makes
more: a member's settings change when it takes over another member's network.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Lineage:
    """Plain data; a design carries it as a dict under the key "lineage"."""

    segments: tuple[tuple[int, dict[str, Any]], ...] = ((0, {}),)
    """(first step, settings that hold from that step on)."""
    parent: str = ""
    """URL of the checkpoint to resume from; empty: the warm start."""
    start_step: int = 0
    """Step of that checkpoint."""
    end_step: int = 0
    """Step after which the trial ends; 0: the end of the phase."""

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any] | None) -> "Lineage":
        """Return the inverse of `to_dict`; None gives the lineage of most trials."""
        if plain is None:
            return cls()
        segments = tuple((int(step), dict(settings)) for step, settings in plain["segments"])
        return cls(**{**plain, "segments": segments})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"segments": [[step, dict(settings)] for step, settings in self.segments]}

    def remaining(self, step: int, steps: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield (settings, last step) of the segments that are left of a phase of `steps` at `step`."""
        end = self.end_step or steps
        ends = [first for first, _ in self.segments[1:]] + [end]
        for (_, settings), last in zip(self.segments, ends, strict=True):
            if last > step or last == end:
                yield settings, min(last, end)

    def describe(self) -> str:
        """Return the steps at which the settings changed, to follow a design's name; empty if none."""
        steps = ", ".join(str(first) for first, _ in self.segments[1:])
        return f" (changed at {steps})" if steps else ""
