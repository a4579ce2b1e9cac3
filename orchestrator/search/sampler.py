"""The sampler of a sweep: Ray's OptunaSearch with constraints for stopped and diverged trials."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from orchestrator.results.pages import PagedPickle
from orchestrator.results.trial_report import RANKED, Status, TrialReport
from orchestrator.search.hooks import hooks_of
from orchestrator.search.space import Space
from orchestrator.search.windowed import WindowedGPSampler, WindowedTPESampler
from trainers.metrics import METRICS
from trainers.objectives import Objectives

CONSTRAINT = "missing budget"
FEASIBLE, FARTHEST = -1.0, 1.0
"""Constraint of a whole trial in a search for the pick: if it is feasible, and at most if it is below the
floor (by its distance in dB), lest one such trial hide all others."""
METRICS_OF = "metrics"  # attribute of a study: the names of its objectives
TRIAL = "trial"  # attribute of a study's trial: Tune's id


def _gp(seed: int, trials: int) -> BaseSampler:
    """Return a Gaussian process sampler with constraints (Jones et al., 1998; Gardner et al., 2014)."""
    startup = min(20, max(2, trials // 2))
    return WindowedGPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)


def _tpe(seed: int, trials: int) -> BaseSampler:
    """Return a multivariate, grouped TPE sampler, as conditional spaces need (Bergstra et al., 2011)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        return WindowedTPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
            n_startup_trials=min(10, max(2, trials // 2)),
        )


def _nsga2(seed: int, trials: int) -> BaseSampler:
    """Return NSGA-II with at least four generations; Optuna's default of 50 trials each would leave one."""
    return NSGAIISampler(seed=seed, population_size=max(4, trials // 4))


def _random(seed: int, trials: int) -> BaseSampler:
    """Return a sampler that draws each design from its axes alone; a grid never asks it."""
    return RandomSampler(seed=seed)


BUILDERS = {"gp": _gp, "tpe": _tpe, "nsga2": _nsga2, "random": _random, "grid": _random}


class ConstrainedOptunaSearch(OptunaSearch):
    """A sampler with constraints: full-length trials outrank stopped ones, and those diverged ones.

    Ray tells Optuna that a stopped trial is complete with its early values, so without a constraint its
    half-trained point would be on the sampler's front. In a search of one metric, perception, a whole trial
    below the floor of the pick violates the constraint as well.
    """

    def __init__(self, objectives: Objectives, **options: Any) -> None:
        super().__init__(**options)
        self.objectives = objectives
        self.pages = PagedPickle("search")

    def suggest(self, trial_id: str) -> Any:
        """Return the next design; finished once the budget is spent, but one is always drawn."""
        hooks = hooks_of(self._study_name)
        drawn = len(self._ot_trials) + len(self._completed_trials)
        if drawn and hooks is not None and hooks.is_budget_spent(drawn):
            return Searcher.FINISHED
        values = self._draw(trial_id)
        assert self._ot_study is not None  # suggest has created it
        while isinstance(self._space, Space) and values and not self._space.allows(values):
            # Optuna learns nothing from a trial that failed
            self._ot_study.tell(self._ot_trials[trial_id], state=TrialState.FAIL)
            self._forget(trial_id)
            values = self._draw(trial_id)
        self._ot_trials[trial_id].set_user_attr(TRIAL, trial_id)
        self._ot_study.set_user_attr(METRICS_OF, [name.removeprefix(RANKED) for name in self.metric])
        return values

    def _draw(self, trial_id: str) -> Any:
        with warnings.catch_warnings():  # Ray warns of a draw that takes a second, as a Gaussian process may
            warnings.filterwarnings("ignore", "Define-by-run function")
            return super().suggest(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Write Tune's snapshot and show the study to the stage's hooks."""
        hooks, state = hooks_of(self._study_name), vars(self).copy()
        content = state.pop("pages").dumps(state, hooks.write_page if hooks else None)
        Path(checkpoint_path).write_bytes(content)
        if hooks is not None and self._ot_study is not None:
            hooks.on_search_saved(self._ot_study)

    def restore(self, checkpoint_path: str) -> None:
        """Return to the state of a snapshot."""
        hooks, content = hooks_of(self._study_name), Path(checkpoint_path).read_bytes()
        vars(self).update(self.pages.loads(content, hooks.read_page if hooks else None))

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Attach the constraint (<= 0 is feasible, Optuna's convention), then tell Optuna."""
        report = TrialReport.from_result(result) if result else None
        if report is not None and (
            report.status is Status.FAILED or self.is_for_pick and not report.warm_start
        ):  # it measured nothing: Optuna counts it as failed and learns nothing
            result, error = None, True
        elif report is not None and trial_id in self._ot_trials:
            self._ot_trials[trial_id].set_constraint(CONSTRAINT, self._missing(report))
            if self.is_for_pick and report.status is Status.DIVERGED:
                # as what it would ship: a grey image's perception would dwarf all differences
                shipped = {m: report.warm_start[m.removeprefix(RANKED)] for m in self.metric}
                result = (result or {}) | shipped
        super().on_trial_complete(trial_id, result, error)
        if trial_id in self._ot_trials:  # Tune may say it twice
            self._forget(trial_id)

    @property
    def is_for_pick(self) -> bool:
        """True for a search of perception alone."""
        return len(self.metric) == 1

    def _missing(self, report: TrialReport) -> float:
        """Return the constraint of a trial: above 0 if it diverged, was stopped, or is below the floor."""
        if report.status is Status.DIVERGED:
            return 2.0
        missing = 1.0 - report.step / max(1, report.max_steps)
        if missing or not self.is_for_pick:
            return missing
        infeasible, distance, _ = self.objectives.order(report.ranked, report.warm_start)
        return min(distance, FARTHEST) if infeasible else FEASIBLE

    def _forget(self, trial_id: str) -> None:
        """Leave an ended trial to the study alone, where it is final."""
        assert self._ot_study is not None
        final = self._ot_study.get_trials(deepcopy=False)[self._ot_trials.pop(trial_id).number]
        if final.state.is_finished():
            self.pages.add(final)


def build_search(
    space: Callable[[Any], dict | None],
    objectives: Objectives,
    name: str,
    seed: int,
    points: list[dict[str, Any]],
    trials: int,
    sampler: str = "tpe",
) -> ConstrainedOptunaSearch:
    """Return the search of a stage, with its study in memory.

    `name` is the study's name and the key of the stage's hooks; `points` are designs to try first (all of
    them for a grid); `trials` is how many will be drawn. "gp" searches by the criterion of the pick, others
    for the front of both metrics.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    metrics = [objectives.perceptual] if sampler == "gp" else [objectives.distortion, objectives.perceptual]
    return ConstrainedOptunaSearch(
        objectives=objectives,
        space=space,
        metric=[RANKED + m for m in metrics],
        mode=[METRICS[m].direction for m in metrics],
        sampler=BUILDERS[sampler](seed, trials),
        study_name=name,
        points_to_evaluate=points,
    )
