"""Learning rate as a function of the fraction of the full phase; nothing here knows about networks."""

import math
from collections.abc import Sequence

WARM_UP = 0.1  # one_cycle: share of the phase that climbs to the peak


def factor(kind: str, fraction: float, milestones: Sequence[float] = (), gamma: float = 0.1) -> float:
    """What the peak learning rate is multiplied by at `fraction` in [0, 1) of the full phase.

    constant: 1. cosine: half a cosine to 0. one_cycle: a linear climb over the first tenth, then half a
    cosine to 0 (Smith & Topin, 2018). multistep: `gamma` at each milestone passed.
    """
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * fraction))
    if kind == "one_cycle":
        if fraction < WARM_UP:
            return max(fraction / WARM_UP, 1e-2)
        return 0.5 * (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP)))
    if kind == "multistep":
        return gamma ** sum(fraction >= m for m in milestones)
    return 1.0
