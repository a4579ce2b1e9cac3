"""Designs chosen before any trial has run: starting points, grids, random draws, architectures."""

import random
from collections.abc import Iterator
from typing import Any

from orchestrator.sweep.request import Request
from trainers import warm_start_key


def points(request: Request) -> list[dict[str, Any]]:
    """Designs that screening tries first; all of them for a grid, and where the space has more architectures
    than trials, so that no trial waits for a warm start that nobody planned."""
    if request.sampler == "grid":
        every = request.space.grid()
        few = request.trials < len(every)  # a part of a grid is drawn, or its first axis would stand still
        return random.Random(request.seed).sample(every, request.trials) if few else list(every)
    if len(request.space.architectures()) <= request.trials:
        return [dict(p) for p in request.space.points[: request.trials]]
    return list(draw(request))


def drawn_architectures(request: Request) -> list[dict[str, Any]]:
    """All of the space; where there are more than trials, those that the trials will draw."""
    every = request.space.architectures()
    if len(every) <= request.trials:
        return every
    drawn: list[dict[str, Any]] = []
    for values in points(request):
        architecture = {n: v for n, v in values.items() if warm_start_key.in_key(n)}
        if architecture not in drawn:
            drawn.append(architecture)
    return drawn


def draw(request: Request) -> Iterator[dict[str, Any]]:
    """Designs drawn before anything is trained: the given points, then at random by the sweep's seed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=request.seed))
    for point in request.space.points[: request.trials]:
        study.enqueue_trial(point)
    for _ in range(request.trials):
        trial = study.ask()
        values = request.space(trial)
        yield trial.params | values
