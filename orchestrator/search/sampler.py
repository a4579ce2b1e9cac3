"""The sampler of a sweep: Ray's OptunaSearch, told the truth about stopped and diverged trials."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from trainers.config import ObjectiveConfig
from trainers.metrics import METRICS

CONSTRAINT = "missing budget"
TRIAL = "trial"  # attribute of a study's trial: what Tune calls it
SNAPSHOTS: dict[str, Callable[[optuna.Study], None]] = {}
"""Study name -> who wants to see it whenever Tune saves the search, in this process."""
ENOUGH: dict[str, Callable[[], bool]] = {}
"""Study name -> whether no more designs may be drawn."""


def _tpe(seed: int, trials: int) -> BaseSampler:
    """Multivariate and grouped, which conditional spaces need both (Bergstra et al., 2011)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        return TPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
            n_startup_trials=min(10, max(2, trials // 2)),
        )


def _nsga2(seed: int, trials: int) -> BaseSampler:
    """Four generations at least: Optuna's own 50 a generation would be random to the end of most sweeps."""
    return NSGAIISampler(seed=seed, population_size=max(4, trials // 4))


def _random(seed: int, trials: int) -> BaseSampler:
    """Each design from its axes alone; behind a grid it is never asked."""
    return RandomSampler(seed=seed)


BUILDERS = {"tpe": _tpe, "nsga2": _nsga2, "random": _random, "grid": _random}


class ConstrainedOptunaSearch(OptunaSearch):
    """A sampler of two objectives, to which full-length trials outrank stopped ones, and those diverged ones.

    Ray tells Optuna that a stopped trial is complete with its early values, so without a constraint its
    half-trained point would sit on the sampler's front.
    """

    def suggest(self, trial_id: str) -> Any:
        """The next design; the study notes whose it is. None are left once there is enough, but one is
        always drawn."""
        if self._ot_trials and ENOUGH.get(self._study_name, bool)():
            return Searcher.FINISHED
        values = super().suggest(trial_id)
        self._ot_trials[trial_id].set_user_attr(TRIAL, trial_id)
        return values

    def save(self, checkpoint_path: str) -> None:
        """Tune's snapshot; whoever follows the study sees it too."""
        super().save(checkpoint_path)
        if self._study_name in SNAPSHOTS and self._ot_study is not None:
            SNAPSHOTS[self._study_name](self._ot_study)

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
    sampler: str = "tpe",
) -> ConstrainedOptunaSearch:
    """The sampler of that name, the study in memory under `name`; a grid comes as `points`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    metrics = [objective.distortion, objective.perceptual]
    return ConstrainedOptunaSearch(
        space=space,
        metric=metrics,
        mode=[METRICS[m].direction for m in metrics],
        sampler=BUILDERS[sampler](seed, trials),
        study_name=name,
        points_to_evaluate=points,
    )
