"""Samplers on a window: Optuna's own draws while it holds every trial, then the right trials."""

import random

import optuna
import pytest
from optuna.samplers import GPSampler, TPESampler
from optuna.trial import TrialState

from orchestrator.search import windowed
from orchestrator.search.windowed import WindowedGPSampler, WindowedTPESampler

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
TPE = {"seed": 3, "multivariate": True, "group": True, "constant_liar": True, "n_startup_trials": 4}
GP = {"seed": 3, "n_startup_trials": 4, "warn_independent_sampling": False}


def study_of(sampler):
    directions = ["minimize"] if isinstance(sampler, GPSampler) else ["maximize", "minimize"]
    return optuna.create_study(directions=directions, sampler=sampler)


def run(study, trials, at_once=5):
    """Draw `trials` designs, of which `at_once` run at a time and end in any order; return their values."""
    order, running, drawn = random.Random(1), [], []
    for k in range(trials):
        trial = study.ask()
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        y = trial.suggest_float("y", 0, 1) if kind == "a" else 0.5
        drawn.append((x, kind, y))
        running.append((trial, (1 - (x - 0.3) ** 2, y)))
        if len(running) > at_once:
            ended, values = running.pop(order.randrange(len(running)))
            failed = k % 11 == 0
            values = None if failed else values[-len(study.directions) :]
            study.tell(ended, values, state=TrialState.FAIL if failed else None)
    return drawn


@pytest.mark.parametrize(
    "own, optunas, settings, trials",
    [(WindowedTPESampler, TPESampler, TPE, 80), (WindowedGPSampler, GPSampler, GP, 25)],
)
def test_draws_are_optunas_own_while_the_window_holds_every_trial(own, optunas, settings, trials):
    assert run(study_of(own(**settings)), trials) == run(study_of(optunas(**settings)), trials)


@pytest.mark.parametrize("own, settings", [(WindowedTPESampler, TPE), (WindowedGPSampler, GP)])
def test_a_window_holds_the_best_the_newest_and_those_that_run(own, settings, monkeypatch):
    for name, value in (("WINDOW", 20), ("GOOD", 8)):
        monkeypatch.setattr(own, name, value)
    monkeypatch.setattr(windowed, "CHECK_EVERY", 5)
    sampler = own(**settings)
    study = study_of(sampler)
    run(study, 100)
    (newest,) = (t.number for t in study.trials[-1:])
    seen = sampler._window(study, study.trials[-1])._get_trials()
    assert [t.number for t in seen] == sorted(t.number for t in seen) and seen[-1].number == newest
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert 20 <= sum(t.state == TrialState.COMPLETE for t in seen) <= 2 * 20 + 5 < len(complete)
    assert {t.number for t in study.best_trials} <= {t.number for t in complete}
    known = {t.number for t in complete} - {t.number for t in complete[-6:]}  # told since the last draw
    assert {t.number for t in study.best_trials} & known <= {t.number for t in seen}
    assert not any(t.state == TrialState.FAIL for t in seen)
