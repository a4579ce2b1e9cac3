"""Recorded problems with runs under other seeds, for simulated sweeps.

A run of a design is its expected curve plus a residual that an alike design lends. The truth of a design is
the mean of what it ships over all residuals that it may get; regret is the truth of a design less the best.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import curves
import numpy as np
from replay import Curve
from sweep import OBJECTIVE, Recorded

from orchestrator.results.labels import design_of
from orchestrator.results.leaderboard import use_best_checkpoint
from orchestrator.search.space import Choice, Space
from trainers.config import ObjectiveConfig
from trainers.objectives import Objectives, Point

REDRAWN = 0.6
DRAWS = 60
"""Runs that a design may have in one sweep."""


class Redrawn:
    """Designs whose runs are redrawn; a run is (design, residual), both by number."""

    objective: ObjectiveConfig
    reference: Point
    """The point of bicubic enlargement."""
    milestones: list[int]
    reduction: int
    gan_steps: int
    psnr_steps: int
    """What the PSNR phase of a run costs, in the unit of gan_steps."""
    longer_steps: int
    """What the PSNR network costs that trains as long as both phases."""
    unit: float
    """Regrets are given in this unit."""
    best: float
    """The truth of the best design."""
    average: float
    """The mean of the truths of all designs, or of random ones."""

    def __init__(self, steps: Sequence[int], residual: np.ndarray) -> None:
        self.steps, self.residual = steps, residual
        self.objectives = Objectives.of(self.objective)
        self.metrics = self.objectives.distortion, self.objectives.perceptual
        self.names: list[str] = []
        self.place: dict[str, int] = {}
        self.mean: list[np.ndarray] = []
        self.alike: list[Sequence[int]] = []
        self.truth: list[float] = []

    def space(self, ordered: bool = False) -> Space:
        """Return the space to search; `ordered`: numbers are told to the sampler as such."""
        raise NotImplementedError

    def add(self, name: str, mean: np.ndarray, alike: Sequence[int]) -> int:
        """Add a design, its expected curve and the residuals that it may get; return its number."""
        self.place[name] = len(self.names)
        self.names.append(name)
        self.mean.append(mean)
        self.alike.append(alike)
        self.truth.append(float(self.ships(mean, alike).mean()))
        return self.place[name]

    def number(self, settings: Mapping[str, Any]) -> int:
        """Return the number of the design with these settings."""
        return self.place[curves.name(dict(settings))]

    def ships(self, mean: np.ndarray, alike: Sequence[int]) -> np.ndarray:
        """Return the perception of the best feasible checkpoint of each run: `shipped`, in one array."""
        runs = mean + self.residual[list(alike)]
        feasible = runs[..., 0] >= runs[:, :1, 0] - self.objectives.delta_db
        return np.where(feasible, runs[..., 1], np.inf).min(axis=1)

    @cache  # noqa: B019 one problem a process
    def curve(self, design: int, other: int) -> Curve:
        """Return the curve of a run of `design` with the residual `other`."""
        points = self.mean[design] + self.residual[other]
        return Curve([[step, *map(float, p)] for step, p in zip(self.steps, points, strict=True)])

    @cache  # noqa: B019
    def ranked(self, design: int, other: int) -> dict[str, float]:
        """Return what a whole trial is ranked by."""
        return dict(zip(self.metrics, self.curve(design, other).final(self.objectives), strict=True))

    @cache  # noqa: B019
    def shipped(self, design: int, other: int) -> dict[str, float]:
        """Return the metrics of the checkpoint that a confirmed run ships."""
        curve = self.curve(design, other)
        candidates = [
            {"step": step, "checkpoint": "", **dict(zip(self.metrics, values, strict=True))}
            for step, *values in curve.points
        ]
        row: Any = {"metrics": self.warm_start(curve), "candidates": candidates, "verdict": ""}
        return {m: use_best_checkpoint(row, self.objectives)["metrics"][m] for m in self.metrics}

    def warm_start(self, curve: Curve) -> dict[str, float]:
        """Return the entries of a row that hold its warm start's metrics."""
        return {f"warm/{m}": value for m, value in zip(self.metrics, curve.points[0][1:], strict=True)}

    def redraw(self, seed: Sequence[int], design: int, run: int) -> int:
        """Return the residual of a design's run in the sweep `seed`."""
        raise NotImplementedError

    def regret(self, values: Any) -> float:
        """Return the regret of the design with these settings, in `unit`."""
        return (self.truth[self.number(design_of(values))] - self.best) / self.unit


class Levels(Choice):
    """Values in order, told to the sampler as their places."""

    def suggest(self, trial: Any, name: str, _: Any) -> Any:
        """Return the value of the drawn place."""
        return self.values[trial.suggest_int(name, 0, len(self.values) - 1)]


class Demo(Redrawn):
    """The problem of tests/bench/curves/demo.json: 324 designs, each recorded with one seed.

    A redrawn run of a design is a least-squares fit over the settings plus the design's own residual, of
    whose variance REDRAWN is replaced by that of a design with equal adversarial weight and generator rate:
    runs then differ by 3.2 SWD (standard deviation), as 54 trainings with other seeds did. Costs are training
    steps of both phases.
    """

    objective, unit = OBJECTIVE, 1.0
    gan_steps, psnr_steps = curves.BASE["run.gan_steps"], curves.BASE["run.psnr_steps"]
    longer_steps = psnr_steps + round(1.75 * gan_steps)
    axes = curves.ARCHITECTURE | curves.GAN

    def __init__(self) -> None:
        recorded = Recorded(reduction=3)
        self.reference, self.milestones, self.reduction = recorded.reference, recorded.milestones, 3
        names = list(recorded.designs)
        settings = [json.loads(name) for name in names]
        curve = np.array([[p[1:] for p in recorded.designs[n].points] for n in names])
        terms = _terms(settings)
        fit = np.einsum("ij,jtm->itm", terms @ np.linalg.pinv(terms), curve)
        residual = (curve - fit) * math.sqrt(len(terms) / (len(terms) - terms.shape[1]))
        residual[:, 0] = 0.0  # all designs of an architecture start from one network
        fit[:, 0] = curve[:, 0]
        steps = [int(p[0]) for p in recorded.designs[names[0]].points]
        super().__init__(steps, math.sqrt(REDRAWN) * residual)
        alike: dict[tuple, list[int]] = {}
        keys = [(s["loss.adversarial_weight"], s["optim.lr_g"]) for s in settings]
        for i, key in enumerate(keys):
            alike.setdefault(key, []).append(i)
        for name, mean, key in zip(names, fit + math.sqrt(1 - REDRAWN) * residual, keys, strict=True):
            self.add(name, mean, alike[key])
        self.best, self.average = min(self.truth), float(np.mean(self.truth))

    def space(self, ordered: bool = False) -> Space:
        """Return the space of lists; `ordered`: those of three values and more are told as levels."""
        kinds = {
            name: Levels if ordered and len(values) > 2 else Choice for name, values in self.axes.items()
        }
        return Space("recorded", {name: kinds[name](tuple(values)) for name, values in self.axes.items()})

    def redraw(self, seed: Sequence[int], design: int, run: int) -> int:
        """Return the design that lends the residual of a run in the sweep `seed`."""
        return int(self._redraws(tuple(seed))[design, run])

    @cache  # noqa: B019
    def _redraws(self, seed: tuple[int, ...]) -> np.ndarray:
        """Return, for each design and run of it in the sweep `seed`, the design that lends its residual."""
        drawn = np.random.default_rng(seed if len(seed) > 1 else seed[0])
        places = drawn.integers(len(self.alike[0]), size=(len(self.names), DRAWS))
        return np.take_along_axis(np.array(self.alike), places, axis=1)


def _terms(settings: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the terms of the least-squares fit: (designs, 32), rates and weight in logarithms."""
    z = np.log([[s[name] for name in curves.GAN] for s in settings])
    z = (z - z.mean(0)) / z.std(0)
    kinds = curves.grid(curves.ARCHITECTURE)
    kind = np.array([[all(s[k] == v for k, v in a.items()) for a in kinds[1:]] for s in settings], float)
    pairs = [z[:, i] * z[:, j] for i, j in itertools.combinations(range(3), 2)]
    own = [z[:, i] * column for i in range(3) for column in kind.T]
    return np.array([np.ones(len(z)), *z.T, *(z**2).T, *pairs, z[:, 0] ** 3, z.prod(1), *kind.T, *own]).T
