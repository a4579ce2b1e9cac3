"""Samplers that learn from a window of a long study: a draw then costs as much after 5,000 trials as before.

For each draw, Optuna's Gaussian process solves equations in as many unknowns as trials have ended: a tenth of
a second among 200, three among 1,000. Optuna's TPE (Bergstra et al., 2011) ranks all trials and places a
kernel on each: 10 ms among 200, 40 ms among 1,200. A window holds the best trials and the newest of the
others.
"""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from trainers.objectives import Point, front_ranks

CHECK_EVERY = 50
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class Windowed(BaseSampler):
    """A sampler of Optuna on a window of the study; up to 2 * WINDOW ended trials it is Optuna's own."""

    WINDOW: int
    """Ended trials that the window is reduced to when it has twice as many."""
    GOOD: int
    """At least this many trials of a window are its best."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen = 0
        """Number of trials that were read from the study: those numbered below it."""
        self.unfinished: set[int] = set()
        """Numbers of trials that were read before they ended."""
        self.ended: set[int] = set()
        """Numbers of the ended trials of the window."""
        self.new: list[int] = []
        """Numbers of trials that ended since the last draw."""
        self.forgets = False
        """True once trials were left out of the window."""
        self.window: _Window | None = None
        """The window of the draw at hand."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Note which trials have ended, and move the window now and then."""
        super().before_trial(study, trial)
        trials = study.get_trials(deepcopy=False)
        # only these can have ended since the last draw: all trials are not read again
        looked_at = sorted({*self.unfinished, *range(self.seen, len(trials))})
        self.new = [number for number in looked_at if trials[number].state in ENDED]
        self.unfinished = {number for number in looked_at if not trials[number].state.is_finished()}
        self.ended.update(self.new)
        self.seen = len(trials)
        if trial.number % CHECK_EVERY == 0 and len(self.ended) > 2 * self.WINDOW:
            ended = [trials[number] for number in sorted(self.ended)]
            out = outside(ended, study.directions, self.WINDOW, self.GOOD)
            self.ended.difference_update(t.number for t in out)
            self.forgets = True

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(self._window(study, trial), trial, search_space)  # type: ignore[safe-super]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        window = self._window(study, trial)
        return super().sample_independent(window, trial, param_name, param_distribution)  # type: ignore[safe-super]

    def _window(self, study: Study, trial: FrozenTrial) -> Any:
        """Return the study without the forgotten trials, as it was when `trial` was begun."""
        if not self.forgets:
            return study
        if self.window is None or self.window.number != trial.number:
            trials = study.get_trials(deepcopy=False)
            inside = sorted(self.ended | self.unfinished)
            self.window = _Window(study, trial.number, [trials[number] for number in inside])
        return self.window

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"window": None}


class WindowedGPSampler(Windowed, GPSampler):
    """Optuna's Gaussian process sampler on a window of the study."""

    WINDOW, GOOD = 200, 100


class WindowedTPESampler(Windowed, TPESampler):
    """Optuna's TPE sampler on a window of the study. (At most 25 trials are its good ones.)"""

    WINDOW, GOOD = 500, 100

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the axes to draw together; Optuna derives them anew from all trials, here from new ones."""
        trials = study.get_trials(deepcopy=False)
        new = [trials[number] for number in self.new]
        return super().infer_relative_search_space(_Window(study, trial.number, new), trial)  # type: ignore[arg-type]


def outside(
    ended: list[FrozenTrial], directions: list[StudyDirection], window: int, at_least: int
) -> list[FrozenTrial]:
    """Return all but `window` of these trials, in order of their numbers: neither the best nor the newest.

    The best, `at_least` so many, are those that miss no constraint, front by front.
    """
    signs = [1 if d == StudyDirection.MAXIMIZE else -1 for d in directions]

    def point(trial: FrozenTrial) -> Point:
        signed = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        return signed[0], signed[-1]  # of one metric: each value is a front

    feasible = [
        t for t in ended if t.state == TrialState.COMPLETE and not any(v > 0 for v in t.constraints.values())
    ]
    unique = sorted({point(t) for t in feasible}, reverse=True)
    ranks = dict(zip(unique, front_ranks(unique), strict=True))
    best = sorted(feasible, key=lambda t: ranks[point(t)])
    last = ranks[point(best[min(at_least, len(best)) - 1])] if best else -1
    good = {t.number for t in best if ranks[point(t)] <= last}
    others = sorted((t for t in ended if t.number not in good), key=lambda t: t.number)
    return others[: max(0, len(ended) - max(window, len(good)))]


class _Window:
    """A study as the sampler sees it while it draws one trial; it reads trials by `_get_trials` alone."""

    def __init__(self, study: Study, number: int, trials: list[FrozenTrial]) -> None:
        self.study, self.number, self.trials = study, number, trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)

    def _get_trials(
        self, deepcopy: bool = False, states: Sequence[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]
