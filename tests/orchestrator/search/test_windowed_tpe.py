"""TPE on a window: Optuna's own draws while it holds every trial, and the right trials when it does not."""

import random

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from orchestrator.search import windowed_tpe
from orchestrator.search.windowed_tpe import WindowedTPESampler

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SETTINGS = {"seed": 3, "multivariate": True, "group": True, "constant_liar": True, "n_startup_trials": 4}


def study_of(sampler):
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)


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
            study.tell(ended, None if failed else values, state=TrialState.FAIL if failed else None)
    return drawn


def test_draws_are_optunas_own_while_the_window_holds_every_trial():
    assert run(study_of(WindowedTPESampler(**SETTINGS)), 80) == run(study_of(TPESampler(**SETTINGS)), 80)


def test_a_window_holds_the_best_the_newest_and_those_that_run(monkeypatch):
    for name, value in (("WINDOW", 20), ("GOOD", 8), ("CHECK_EVERY", 5)):
        monkeypatch.setattr(windowed_tpe, name, value)
    sampler = WindowedTPESampler(**SETTINGS)
    study = study_of(sampler)
    run(study, 150)
    (newest,) = (t.number for t in study.trials[-1:])
    seen = sampler._window(study, study.trials[-1])._get_trials()
    assert [t.number for t in seen] == sorted(t.number for t in seen) and seen[-1].number == newest
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    assert 20 <= sum(t.state == TrialState.COMPLETE for t in seen) <= 2 * 20 + 5 < len(complete)
    assert {t.number for t in study.best_trials} <= {t.number for t in complete}
    known = {t.number for t in complete} - {t.number for t in complete[-6:]}  # told since the last draw
    assert {t.number for t in study.best_trials} & known <= {t.number for t in seen}
    assert not any(t.state == TrialState.FAIL for t in seen)
