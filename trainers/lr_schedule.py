"""Learning rate as a function of the fraction of the full phase; nothing here knows about networks."""

import math
from collections.abc import Sequence

WARM_UP = 0.1  # one_cycle: share of the phase that climbs to the peak


def lr_factor(
    kind: str,
    fraction: float,
    milestones: Sequence[float] = (),
    gamma: float = 0.1,
    *,
    period: float = 0.25,
    warm_up: float = 0.0,
) -> float:
    """What the peak learning rate is multiplied by at `fraction` in [0, 1) of the full phase.

    constant: 1. cosine: half a cosine to 0. cosine_restarts: the same in every `period` (Loshchilov & Hutter,
    2017). one_cycle: a linear climb over the first tenth, then half a cosine to 0 (Smith & Topin, 2018).
    step: `gamma` at each `period` passed. multistep: `gamma` at each milestone passed. Within `warm_up` all
    but one_cycle are multiplied by a linear climb.
    """
    if kind == "one_cycle":
        if fraction < WARM_UP:
            return _climb(fraction, WARM_UP)
        return _half_cosine((fraction - WARM_UP) / (1 - WARM_UP))
    return _climb(fraction, warm_up) * _shape(kind, fraction, milestones, gamma, period)


def _shape(kind: str, fraction: float, milestones: Sequence[float], gamma: float, period: float) -> float:
    if kind == "cosine":
        return _half_cosine(fraction)
    if kind == "cosine_restarts":
        return _half_cosine(fraction % period / period)
    if kind == "step":
        return gamma ** int(fraction / period + 1e-9)  # 0.6 / 0.2 is a little less than 3
    if kind == "multistep":
        return gamma ** sum(fraction >= m for m in milestones)
    return 1.0


def _half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def _climb(fraction: float, length: float) -> float:
    """From a hundredth to 1 over `length`."""
    return max(fraction / length, 1e-2) if fraction < length else 1.0
