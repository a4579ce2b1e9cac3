"""Settings a little away from those of a design that did well: what population based training tries next."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.search.space import SWITCH_SUFFIX, Space

FACTORS = (0.8, 1.25)
RESAMPLE_PROBABILITY = (
    0.25  # share of the settings drawn anew (Jaderberg et al., 2017, leave it open; Ray's default)
)


def perturb(space: Space, settings: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """A design of `space` near `settings`: numbers times 0.8 or 1.25 within their axis, numbers of a list to
    a neighbour, anything else kept; each with a chance of 1/4 drawn anew. Derived and conditional axes
    follow the others."""
    return space(PerturbingTrial(settings, draw))


class PerturbingTrial:
    """Stands in for an Optuna trial."""

    def __init__(self, settings: Mapping[str, Any], draw: random.Random) -> None:
        self.settings, self.draw = settings, draw

    def suggest_categorical(self, name: str, values: Sequence[Any]) -> Any:
        axis = name.removesuffix(SWITCH_SUFFIX)
        now = self.settings[axis]
        if name.endswith(SWITCH_SUFFIX):  # the switch of an axis that may be 0
            now, values = bool(now), (False, True)
        if now not in values or self.draw.random() < RESAMPLE_PROBABILITY:
            return self.draw.choice(list(values))
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            return now
        ordered = sorted(values)
        place = ordered.index(now) + self.draw.choice((-1, 1))
        return ordered[min(max(place, 0), len(ordered) - 1)]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        if not self.settings.get(name) or self.draw.random() < RESAMPLE_PROBABILITY:
            return low * (high / low) ** self.draw.random()
        return min(max(self.settings[name] * self.draw.choice(FACTORS), low), high)
