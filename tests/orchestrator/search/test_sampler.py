"""The sampler: constraints of trials that stopped early, diverged or failed, and its state."""

from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from helpers.optuna_search import OBJECTIVES, result, search
from ray.tune.search import Searcher

from orchestrator.results.trial_report import Status
from orchestrator.search.hooks import active
from orchestrator.search.sampler import CONSTRAINT, FARTHEST, FEASIBLE
from trainers.config import ObjectiveConfig
from trainers.objectives import Objectives


def test_a_stopped_trial_never_outranks_a_full_one():
    s = search()
    for trial_id in ("full", "stopped"):
        s.suggest(trial_id)
    s.on_trial_complete("full", result(28.0, 150.0))
    s.on_trial_complete("stopped", result(33.0, 50.0, step=32))  # better in both, but half trained
    assert [t.values for t in s._ot_study.best_trials] == [[28.0, 150.0]]


def test_a_diverged_trial_is_worse_than_a_stopped_one():
    s = search()
    ends = {
        "full": result(28.0, 150.0),
        "late": result(28.0, 150.0, step=64),
        "early": result(28.0, 150.0, step=32),
        "diverged": result(12.0, 900.0, step=119, status=Status.DIVERGED),
    }
    for trial_id in ends:
        s.suggest(trial_id)
    for trial_id, end in ends.items():
        s.on_trial_complete(trial_id, end)
    missing = [t.constraints[CONSTRAINT] for t in s._ot_study.trials]
    assert missing[0] == 0, "0 is feasible in Optuna's convention"
    assert 0 < missing[1] < missing[2] < missing[3]


SAMPLERS = ["gp", "tpe", "nsga2", "random"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_takes_constraints_and_suggests_on(sampler, recwarn):
    s = search(sampler=sampler)
    for k in range(30):
        values = s.suggest(f"t{k}")
        step = 120 if k % 3 else 32
        s.on_trial_complete(f"t{k}", result(28.0, 200 * values["loss.adversarial_weight"] + 50, step=step))
    assert {t.state for t in s._ot_study.trials} == {optuna.trial.TrialState.COMPLETE}
    full = [t for t in s._ot_study.best_trials if t.constraints[CONSTRAINT] <= 0]
    assert full == s._ot_study.best_trials


def test_a_search_for_the_pick_knows_perception_and_the_floor():
    """A diverged trial is told as its warm start: a grey image's SWD would dwarf every other difference."""
    s = search(sampler="gp")
    ends = {
        "whole": result(28.5, 150.0),
        "below the floor": result(28.5 - OBJECTIVES.delta_db, 100.0),
        "far below": result(15.0, 100.0),
        "diverged": result(12.0, 900.0, status=Status.DIVERGED),
    }
    for trial_id in ends:
        s.suggest(trial_id)
    for trial_id, end in ends.items():
        s.on_trial_complete(trial_id, end)
    assert [t.values for t in s._ot_study.trials] == [[150.0], [100.0], [100.0], [400.0]]
    missing = [t.constraints[CONSTRAINT] for t in s._ot_study.trials]
    assert missing == [FEASIBLE, 0.5, FARTHEST, 2.0]
    assert [t.values for t in s._ot_study.best_trials] == [[150.0]]
    s.suggest("at once")
    s.on_trial_complete("at once", result(12.0, 900.0, step=0, status=Status.DIVERGED, warm_start={}))
    assert s._ot_study.trials[-1].state.name == "FAIL", "its first evaluation diverged"


def test_a_search_for_the_pick_knows_the_floor_of_the_champion():
    s = search(sampler="gp", objectives=replace(OBJECTIVES, least=28.75))
    s.suggest("t")
    s.on_trial_complete("t", result(28.5, 150.0))
    assert [t.constraints[CONSTRAINT] for t in s._ot_study.trials] == [0.25]


def test_a_trial_that_measured_nothing_counts_as_failed_not_as_running_for_ever():
    s = search()
    for trial_id in ("refused", "crashed"):
        s.suggest(trial_id)
    s.on_trial_complete("refused", result(step=0, status=Status.FAILED, reason="no such weights"))
    s.on_trial_complete("crashed", None, error=True)
    assert [t.state.name for t in s._ot_study.trials] == ["FAIL", "FAIL"]


def test_no_design_is_drawn_once_the_budget_is_spent_but_one_always():
    s, most, asked = search(), 1, []
    spent = SimpleNamespace(is_budget_spent=lambda drawn: asked.append(drawn) or drawn >= most)
    with active("sweep-screen", spent):
        assert isinstance(s.suggest("t0"), dict)
        assert s.suggest("t1") == Searcher.FINISHED
        assert len(s._ot_study.trials) == 1
        most = 3
        assert isinstance(s.suggest("t1"), dict)
        s.on_trial_complete("t0", None, error=True)
        assert isinstance(s.suggest("t2"), dict) and s.suggest("t3") == Searcher.FINISHED
    assert asked == [1, 1, 2, 3], "designs that were drawn, although none of them has begun"


def test_without_hooks_designs_are_drawn_as_usual(tmp_path):
    s = search()
    assert isinstance(s.suggest("t0"), dict) and isinstance(s.suggest("t1"), dict)
    s.save(str(tmp_path / "state"))


def test_every_trial_of_the_study_names_its_trial_of_tune():
    s = search()
    for trial_id in ("a", "b"):
        s.suggest(trial_id)
    assert [t.user_attrs["trial"] for t in s._ot_study.trials] == ["a", "b"]


def test_points_to_start_from_come_first():
    point = {"generator.num_blocks": 4, "loss.adversarial_weight": 0.3}
    assert search(points=[point]).suggest("t0") == point


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_restored_search_goes_on_as_it_would_have(sampler, tmp_path):
    s, again = search(sampler=sampler), search(sampler=sampler)
    for k in range(12):
        values = s.suggest(f"t{k}")
        s.on_trial_complete(f"t{k}", result(28.0 + k, 150.0 * values["loss.adversarial_weight"]))
    s.save(str(tmp_path / "state"))
    again.restore(str(tmp_path / "state"))
    assert [t.params for t in again._ot_study.trials] == [t.params for t in s._ot_study.trials]
    assert again.suggest("next") == s.suggest("next")
    assert again._ot_study.study_name == "sweep-screen", "two sweeps never share a study"


@pytest.mark.parametrize("metric", ["swd", "lpips_alex"])
def test_directions_follow_the_metrics(metric):
    s = search(objectives=Objectives.of(ObjectiveConfig(perceptual=metric)))
    s.suggest("t")
    assert [d.name for d in s._ot_study.directions] == ["MAXIMIZE", "MINIMIZE"]
