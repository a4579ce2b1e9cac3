"""The sampler of a sweep: Ray's OptunaSearch, told the truth about stopped and diverged trials."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import TPESampler
from ray.tune.search.optuna import OptunaSearch

from trainers.config import ObjectiveConfig
from trainers.metrics import METRICS

CONSTRAINT = "missing budget"


class SweepSearch(OptunaSearch):
    """TPE over two objectives; full-length trials always outrank stopped ones, those outrank diverged ones.

    Ray tells Optuna that a stopped trial is complete with its early values, so without a constraint its
    half-trained point would sit on the sampler's front.
    """

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Attach the constraint (<= 0 is feasible, Optuna's convention), then tell as usual."""
        if result and result.get("failed"):
            result, error = None, True  # it measured nothing: Optuna counts it as failed and learns nothing
        if result and trial_id in self._ot_trials:
            share = result.get("gan_step", 0) / max(1, result.get("max_steps", 1))
            missing = 2.0 if result.get("diverged") else 1.0 - share
            self._ot_trials[trial_id].set_constraint(CONSTRAINT, missing)
        super().on_trial_complete(trial_id, result, error)


def build_search(
    space: Callable[[Any], dict | None],
    objective: ObjectiveConfig,
    name: str,
    seed: int,
    points: list[dict[str, Any]],
    trials: int,
) -> SweepSearch:
    """Multivariate, grouped TPE (conditional spaces need both), the study in memory under `name`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    metrics = [objective.distortion, objective.perceptual]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        sampler = TPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
            n_startup_trials=min(10, max(2, trials // 2)),
        )
    return SweepSearch(
        space=space,
        metric=metrics,
        mode=[METRICS[m].direction for m in metrics],
        sampler=sampler,
        study_name=name,
        points_to_evaluate=points,
    )
