"""What Optuna is told about trials that stopped early, diverged or failed."""

import optuna
import pytest
from ray.tune.search import Searcher

from orchestrator.search.sampler import CONSTRAINT, ENOUGH, SNAPSHOTS, build_search
from orchestrator.search.space import Choice, LogFloat, Space
from orchestrator.search.study_export import StudyExport
from orchestrator.storage import Storage
from trainers.config import ObjectiveConfig

SPACE = Space("s", {"generator.num_blocks": Choice((2, 4)), "loss.adversarial_weight": LogFloat(1e-3, 1)})
OBJECTIVE = ObjectiveConfig(perceptual="swd")


def search(name="sweep-screen", points=(), sampler="tpe"):
    return build_search(SPACE, OBJECTIVE, name, seed=0, points=list(points), trials=8, sampler=sampler)


def result(psnr, swd, step=120, **more):
    return {"psnr_y": psnr, "swd": swd, "gan_step": step, "max_steps": 120} | more


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
        "diverged": result(12.0, 900.0, step=119, diverged=1),
    }
    for trial_id in ends:
        s.suggest(trial_id)
    for trial_id, end in ends.items():
        s.on_trial_complete(trial_id, end)
    missing = [t.constraints[CONSTRAINT] for t in s._ot_study.trials]
    assert missing[0] == 0, "0 is feasible in Optuna's convention"
    assert 0 < missing[1] < missing[2] < missing[3]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_sampler_takes_constraints_and_suggests_on(sampler, recwarn):
    s = search(sampler=sampler)
    for k in range(30):
        values = s.suggest(f"t{k}")
        step = 120 if k % 3 else 32
        s.on_trial_complete(f"t{k}", result(28.0, 200 * values["loss.adversarial_weight"] + 50, step=step))
    assert {t.state for t in s._ot_study.trials} == {optuna.trial.TrialState.COMPLETE}
    full = [t for t in s._ot_study.best_trials if t.constraints[CONSTRAINT] <= 0]
    assert full == s._ot_study.best_trials


def test_a_trial_that_measured_nothing_counts_as_failed_not_as_running_for_ever():
    s = search()
    for trial_id in ("refused", "crashed"):
        s.suggest(trial_id)
    s.on_trial_complete("refused", {"failed": "no such weights", "gan_step": 0, "max_steps": 120})
    s.on_trial_complete("crashed", None, error=True)
    assert [t.state.name for t in s._ot_study.trials] == ["FAIL", "FAIL"]


def test_no_design_is_drawn_once_there_is_enough_but_one_always(monkeypatch):
    monkeypatch.setitem(ENOUGH, "sweep-screen", lambda: True)
    s = search()
    assert isinstance(s.suggest("t0"), dict)
    assert s.suggest("t1") == Searcher.FINISHED
    assert len(s._ot_study.trials) == 1
    monkeypatch.setitem(ENOUGH, "sweep-screen", lambda: False)
    assert isinstance(s.suggest("t1"), dict)


def test_points_to_start_from_come_first():
    point = {"generator.num_blocks": 4, "loss.adversarial_weight": 0.3}
    assert search(points=[point]).suggest("t0") == point


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
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
    s = build_search(SPACE, ObjectiveConfig(perceptual=metric), "x", seed=0, points=[], trials=8)
    s.suggest("t")
    assert [d.name for d in s._ot_study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_the_study_is_exported_for_those_who_look_at_it(tmp_path, monkeypatch, capfd):
    storage = Storage(str(tmp_path / "runs"))
    s, export = search(), StudyExport(storage, "sweep")
    optuna.logging.set_verbosity(optuna.logging.INFO)
    monkeypatch.setitem(SNAPSHOTS, "sweep-screen", export)
    for trial_id in ("full", "stopped", "crashed", "runs still"):
        s.suggest(trial_id)
    s.on_trial_complete("full", result(28.0, 150.0))
    s.on_trial_complete("stopped", result(29.0, 140.0, step=30))
    s.on_trial_complete("crashed", None, error=True)
    s.save(str(tmp_path / "state"))

    path = tmp_path / "runs" / "sweep" / "study.db"
    seen = optuna.load_study(study_name="sweep-screen", storage=f"sqlite:///{path}")
    assert seen.directions == s._ot_study.directions
    assert [t.state.name for t in seen.trials] == ["COMPLETE", "COMPLETE", "FAIL"], "none runs for ever"
    assert [t.user_attrs["trial"] for t in seen.trials] == ["full", "stopped", "crashed"]
    assert [t.values for t in seen.trials[:2]] == [[28.0, 150.0], [29.0, 140.0]]
    assert [t.constraints for t in seen.trials[:2]] == [{CONSTRAINT: 0.0}, {CONSTRAINT: 0.75}]
    assert [t.params for t in seen.trials] == [t.params for t in s._ot_study.trials[:3]]
    assert [t.number for t in seen.best_trials] == [0], "the dashboard's front holds whole trials only"
    assert capfd.readouterr().err == "", "a resumed sweep has not asked Optuna to be quiet before"


def test_the_export_waits_between_snapshots_but_not_at_the_end(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    s, export = search(), StudyExport(storage, "sweep")
    written = []
    for k in range(3):
        s.suggest(f"t{k}")
        s.on_trial_complete(f"t{k}", result(28.0 + k, 150.0))
        export(s._ot_study)
        written.append(export.finished)
    assert written == [1, 1, 1]
    export.write()
    assert export.finished == 3
    assert [p.name for p in (tmp_path / "runs" / "sweep").iterdir()] == ["study.db"]
