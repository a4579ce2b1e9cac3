"""The way of a trial through its GAN phase: whose network it begins from, which settings hold from which
step on, how far it goes. Most trials have one part, from the warm start to the end."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Lineage:
    """Plain data, as a design carries it under the key "course"."""

    parts: tuple[tuple[int, dict[str, Any]], ...] = ((0, {}),)
    """(first step, settings that hold from there on)."""
    parent: str = ""
    """URL of the checkpoint to go on from; empty: the warm start."""
    since: int = 0
    """The step of that checkpoint."""
    until: int = 0
    """The step after which the trial ends; 0: the end of the phase."""

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> "Lineage":
        """The inverse of `told`; None is the usual course."""
        if told is None:
            return cls()
        parts = tuple((int(step), dict(settings)) for step, settings in told["parts"])
        return cls(**{**told, "parts": parts})

    def told(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self) | {"parts": [[step, dict(settings)] for step, settings in self.parts]}

    def left(self, step: int, steps: int) -> Iterator[tuple[dict[str, Any], int]]:
        """(settings, last step) of the parts that a phase of `steps` has to do when it stands at `step`."""
        end = self.until or steps
        ends = [first for first, _ in self.parts[1:]] + [end]
        for (_, settings), last in zip(self.parts, ends, strict=True):
            if last > step or last == end:
                yield settings, min(last, end)

    def words(self) -> str:
        """Where the settings changed, to stand behind a design's name; empty where they did not."""
        steps = ", ".join(str(first) for first, _ in self.parts[1:])
        return f" (changed at {steps})" if steps else ""
