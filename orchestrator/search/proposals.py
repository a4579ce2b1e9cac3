"""Designs chosen before any trial has run: starting points, grids, random draws, architectures."""

import random
from collections.abc import Iterator
from typing import Any

from orchestrator.search.space import Space

Design = dict[str, Any]


def starting_points(space: Space, trials: int, sampler: str, seed: int) -> list[Design]:
    """Return the designs that screening tries first.

    For a grid these are all of them. If the space has more architectures than `trials`, all are drawn here,
    so that no trial waits for a warm start that nobody planned.
    """
    if sampler == "grid":
        grid = space.grid()
        is_subset = trials < len(grid)  # a subset is drawn, because the first axis hardly varies at the start
        return random.Random(seed).sample(grid, trials) if is_subset else list(grid)
    if len(space.architectures()) <= trials:
        return [dict(p) for p in space.points[:trials] if space.allows(p)]
    return list(draw(space, trials, seed))


def planned_architectures(space: Space, trials: int, sampler: str, seed: int) -> list[Design]:
    """Return the architectures that need a warm start: all of the space, or only those of its starting
    points if there are fewer trials than architectures.
    """
    architectures = space.architectures()
    if len(architectures) <= trials:
        return architectures
    drawn: list[Design] = []
    for values in starting_points(space, trials, sampler, seed):
        architecture = space.architecture_of(values)
        if architecture not in drawn:
            drawn.append(architecture)
    return drawn


def draw(space: Space, trials: int, seed: int) -> Iterator[Design]:
    """Yield `trials` designs: the space's starting points, then random ones by `seed`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for point in space.points[:trials]:
        study.enqueue_trial(point)
    for _ in range(trials):
        trial = study.ask()
        while not space.allows(values := space(trial)):
            trial = study.ask()
        # params has the switches of axes that may be off, values the axes that follow from others
        yield trial.params | values
