"""Learning rate schedules as functions of the completed fraction of a phase."""

import math
from collections.abc import Sequence

WARM_UP = 0.1  # one_cycle: share of the phase in which the rate rises to its peak


def lr_factor(
    kind: str,
    fraction: float,
    milestones: Sequence[float] = (),
    gamma: float = 0.1,
    *,
    period: float = 0.25,
    warm_up: float = 0.0,
) -> float:
    """Return the factor on the peak learning rate at `fraction` in [0, 1) of the full phase.

    constant: 1. cosine: half a cosine from 1 to 0. cosine_restarts: a half cosine in every `period`
    (Loshchilov & Hutter, 2017). one_cycle: a linear rise over the first tenth, then half a cosine to 0 (Smith
    & Topin, 2018). step: times `gamma` at each `period` passed. multistep: times `gamma` at each milestone
    passed. Within `warm_up`, all but one_cycle are multiplied by a linear rise.
    """
    if kind == "one_cycle":
        if fraction < WARM_UP:
            return _rise(fraction, WARM_UP)
        return _half_cosine((fraction - WARM_UP) / (1 - WARM_UP))
    return _rise(fraction, warm_up) * _shape(kind, fraction, milestones, gamma, period)


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


def _rise(fraction: float, length: float) -> float:
    """Return a linear rise from 0.01 to 1 over `length`."""
    return max(fraction / length, 1e-2) if fraction < length else 1.0
