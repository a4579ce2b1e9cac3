"""Two synthetic families of learning curves with known traps, in the form of recorded ones.

`trade`: the adversarial weight trades distortion for perception, speed of learning is another axis, so that
curves cross and the fast ones are not the good ones. `collapse`: a third of the designs gain fastest, then
lose both objectives; measurements are noisier.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from replay import Curve

from orchestrator.schedulers.rungs import rungs
from trainers.objectives import Point

STEPS, EVERY = 200, 10
BICUBIC: Point = (28.9, -166.0)
WARM = (29.45, 134.0)


@dataclass(frozen=True)
class Family:
    """A problem whose designs are drawn for each seed."""

    make: Callable[[random.Random], Curve]
    reduction: int
    reference: Point = BICUBIC
    gan_steps: int = STEPS

    @property
    def milestones(self) -> list[int]:
        """The rungs that the product would set."""
        return rungs(STEPS, EVERY, self.reduction, 2, 0.97)

    def pool(self, seed: int) -> list[Curve]:
        """Return the designs of that seed."""
        draw = random.Random(1000 + seed)
        return [self.make(draw) for _ in range(72)]


def _curve(draw: random.Random, at: Callable[[float], tuple[float, float]], noise: Point) -> Curve:
    points = []
    for step in range(0, STEPS + 1, EVERY):
        distortion, perceptual = at(step / STEPS)
        points.append([step, distortion + draw.gauss(0, noise[0]), perceptual + draw.gauss(0, noise[1])])
    points[0] = [0, *WARM]
    return Curve(points)


def trade(draw: random.Random) -> Curve:
    """Draw a curve whose weight in [0, 1] trades dB for perception; slow learners end up better."""
    weight, speed = draw.random(), draw.uniform(0.5, 6.0)
    ceiling = 1.3 - 0.1 * speed

    def at(t: float) -> tuple[float, float]:
        done = 1 - math.exp(-speed * t)
        return WARM[0] - 0.35 * weight**2 * done + 0.08 * (1 - weight) * done * ceiling, (
            WARM[1] - 45 * weight**0.5 * ceiling * done
        )

    return _curve(draw, at, (0.01, 1.5))


def collapse(draw: random.Random) -> Curve:
    """Draw a curve that, in a third of the designs, falls from a peak before the end."""
    weight, falls, peak = draw.random(), draw.random() < 1 / 3, draw.uniform(0.25, 0.7)

    def at(t: float) -> tuple[float, float]:
        if falls:
            lost = max(0.0, t - peak) / (1 - peak)
            return WARM[0] - 0.2 * weight * t - 0.8 * lost, WARM[1] - 60 * weight * min(t, peak) + 70 * lost
        return WARM[0] - 0.3 * weight**2 * t, WARM[1] - 40 * weight * t

    return _curve(draw, at, (0.03, 4.0))


def all_of(reduction: int) -> dict[str, Family]:
    """Return both families; one trial in `reduction` continues at a rung."""
    return {"trade": Family(trade, reduction), "collapse": Family(collapse, reduction)}
