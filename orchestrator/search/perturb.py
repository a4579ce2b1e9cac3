"""Settings near those of a good design, for the explore step of population based training."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.search.space import SWITCH_SUFFIX, Space

FACTORS = (0.8, 1.25)
RESAMPLE_PROBABILITY = 0.25  # Ray's default; Jaderberg et al. (2017) leave it open


def perturb(space: Space, settings: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """Return a design of `space` near `settings`; `draw` decides.

    A number is multiplied by 0.8 or 1.25 within its axis, a number from a list becomes its neighbour,
    anything else stays; but each setting is resampled with a probability of 1/4. Derived and conditional axes
    follow.
    """
    return space(PerturbingTrial(settings, draw))


class PerturbingTrial:
    """A substitute for an Optuna trial, whose draws are near given settings."""

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
            share = self.draw.random()
            return low * (high / low) ** share if log else low + (high - low) * share
        return min(max(self.settings[name] * self.draw.choice(FACTORS), low), high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        now, near = self.settings.get(name), round(self.suggest_float(name, low, high, log=log))
        stuck = near == now and low < high  # a factor that rounds back to the number itself
        return (near + 1 if near < high else near - 1) if stuck else near
