"""The problem of tests/bench/curves/demo.json with runs under other seeds, for simulated sweeps.

Every design was recorded with one seed. A redrawn run of a design is a least-squares fit over the settings
plus the design's own residual, of whose variance REDRAWN is replaced by that of a design with equal
adversarial weight and generator rate: runs then differ by 3.2 SWD (standard deviation), as 54 trainings with
other seeds did. The truth of a design is the mean of what it ships over all redraws.
"""

import itertools
import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import curves
import numpy as np
from replay import Curve
from sweep import OBJECTIVES, Recorded

from orchestrator.results.labels import design_of
from orchestrator.results.leaderboard import use_best_checkpoint

REDRAWN = 0.6
METRICS = curves.METRICS
DRAWS = 60
"""Runs that a design may have in one sweep."""


class Problem:
    """The recorded problem with redrawn runs; a run is (design, the design that lends its residual)."""

    def __init__(self) -> None:
        self.recorded = Recorded(reduction=3)
        self.names = list(self.recorded.designs)
        self.place = {name: i for i, name in enumerate(self.names)}
        settings = [json.loads(name) for name in self.names]
        curve = np.array([[p[1:] for p in self.recorded.designs[n].points] for n in self.names])
        terms = _terms(settings)
        fit = np.einsum("ij,jtm->itm", terms @ np.linalg.pinv(terms), curve)
        residual = (curve - fit) * math.sqrt(len(terms) / (len(terms) - terms.shape[1]))
        residual[:, 0] = 0.0  # all designs of an architecture start from one network
        fit[:, 0] = curve[:, 0]
        self.mean, self.residual = fit + math.sqrt(1 - REDRAWN) * residual, math.sqrt(REDRAWN) * residual
        alike: dict[tuple, list[int]] = {}
        keys = [(s["loss.adversarial_weight"], s["optim.lr_g"]) for s in settings]
        for i, key in enumerate(keys):
            alike.setdefault(key, []).append(i)
        self.alike = [alike[key] for key in keys]
        self.truth = [self._expected(i) for i in range(len(self.names))]
        self.best = min(self.truth)

    def _expected(self, design: int) -> float:
        """Return the mean SWD of the best feasible checkpoint over all redraws: `shipped`, in one array."""
        runs = self.mean[design] + self.residual[self.alike[design]]
        feasible = runs[..., 0] >= runs[:, :1, 0] - OBJECTIVES.delta_db
        return float(np.where(feasible, runs[..., 1], np.inf).min(axis=1).mean())

    @cache  # noqa: B019 one problem a process
    def curve(self, design: int, other: int) -> Curve:
        """Return the curve of a run of `design` whose residual is redrawn from `other`."""
        points = self.mean[design] + self.residual[other]
        steps = (p[0] for p in self.recorded.designs[self.names[design]].points)
        return Curve([[step, *map(float, p)] for step, p in zip(steps, points, strict=True)])

    @cache  # noqa: B019
    def ranked(self, design: int, other: int) -> dict[str, float]:
        """Return what a whole trial is ranked by."""
        return dict(zip(METRICS, self.curve(design, other).final(OBJECTIVES), strict=True))

    @cache  # noqa: B019
    def shipped(self, design: int, other: int) -> dict[str, float]:
        """Return the metrics of the checkpoint that a confirmed run ships."""
        curve = self.curve(design, other)
        candidates = [
            {"step": step, "checkpoint": "", **dict(zip(METRICS, values, strict=True))}
            for step, *values in curve.points
        ]
        row: Any = {"metrics": warm_start(curve), "candidates": candidates, "verdict": ""}
        return {m: use_best_checkpoint(row, OBJECTIVES)["metrics"][m] for m in METRICS}

    def redraws(self, seed: int | Sequence[int]) -> np.ndarray:
        """Return, for each design and run of it in sweep `seed`, the design that lends its residual."""
        places = np.random.default_rng(seed).integers(len(self.alike[0]), size=(len(self.names), DRAWS))
        return np.take_along_axis(np.array(self.alike), places, axis=1)

    def regret(self, values: Any) -> float:
        """Return the regret of the design with these settings."""
        return self.truth[self.place[curves.name(design_of(values))]] - self.best


def _terms(settings: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the terms of the least-squares fit: (designs, 32), rates and weight in logarithms."""
    z = np.log([[s[name] for name in curves.GAN] for s in settings])
    z = (z - z.mean(0)) / z.std(0)
    kinds = curves.grid(curves.ARCHITECTURE)
    kind = np.array([[all(s[k] == v for k, v in a.items()) for a in kinds[1:]] for s in settings], float)
    pairs = [z[:, i] * z[:, j] for i, j in itertools.combinations(range(3), 2)]
    own = [z[:, i] * column for i in range(3) for column in kind.T]
    return np.array([np.ones(len(z)), *z.T, *(z**2).T, *pairs, z[:, 0] ** 3, z.prod(1), *kind.T, *own]).T


def warm_start(curve: Curve) -> dict[str, float]:
    """Return the entries of a row that hold its warm start's metrics."""
    return {f"warm/{m}": value for m, value in zip(METRICS, curve.points[0][1:], strict=True)}
