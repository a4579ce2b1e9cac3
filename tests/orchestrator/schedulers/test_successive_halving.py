"""Early stopping: who may never be stopped, who may never survive, and what a restart must not change."""

import itertools
import json
import pickle
import random
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.utils import flatten_dict

from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.schedulers import rules
from orchestrator.schedulers.rules import RULES
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from trainers.objectives import Objectives, dominates

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
SWD = Objectives("psnr_y", "swd", delta_db=1.5)


def scheduler(milestones=(30, 60), reduction=2, rule="feasible_first"):
    return SuccessiveHalving(SWD, list(milestones), reduction, rule)


def report(step, psnr, swd, warm_psnr=30.0, warm_swd=200.0, **more):
    ranked, warm = {"psnr_y": psnr, "swd": swd}, {"psnr_y": warm_psnr, "swd": warm_swd}
    return TrialReport(phase="gan", step=step, ranked=ranked, warm_start=warm, **more)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(20))
def test_a_trial_that_dominates_all_recorded_ones_is_never_stopped(seed, rule):
    draw = random.Random(seed)
    s = scheduler(reduction=draw.choice([2, 3, 4]), rule=rule)
    best = [0.0, 1000.0]
    for k in range(40):
        psnr, swd, warm = draw.uniform(20, 30), draw.uniform(100, 190), draw.uniform(25, 35)
        if k % 4 == 3:  # beats everything so far in both, whatever its own warm start promised
            psnr, swd = best[0] + 0.01, best[1] - 0.01
            assert s.decide(f"t{k}", report(30, psnr, swd, warm_psnr=psnr + 3)) == GO
            assert s.decide(f"t{k}", report(60, psnr, swd, warm_psnr=psnr + 3)) == GO
        elif s.decide(f"t{k}", report(30, psnr, swd, warm_psnr=warm)) == GO:
            s.decide(f"t{k}", report(60, psnr, swd, warm_psnr=warm))
        best = [max(best[0], psnr), min(best[1], swd)]


@pytest.mark.parametrize("place", range(4))
def test_a_trial_that_does_nothing_never_survives_the_second_rung(place):
    """It keeps its warm start's values, the best distortion of all; alone, first or last."""
    others = [(29.5, 150.0), (29.4, 140.0), (29.3, 130.0)]
    order = [*others[:place], None, *others[place:]]
    s = scheduler()
    for k, values in enumerate(order):
        psnr, swd = values or (30.0, 200.0)
        answers = [s.decide(f"t{k}", report(step, psnr, swd)) for step in (30, 60)]
        if values is None:
            assert STOP in answers


def test_a_trial_that_only_the_pixel_loss_moves_is_stopped_however_much_it_gains():
    s = scheduler()
    alone, works = ({"gradient_shares": shares} for shares in ({"pixel": 1.0}, {"adversarial": 0.2}))
    assert s.decide("a", report(30, 31, 150, **alone)) == GO
    assert s.decide("a", report(60, 31, 140, **alone)) == STOP
    assert s.decide("b", report(30, 29, 139, **works)) == GO
    assert s.decide("b", report(60, 29, 120, **works)) == GO


def test_a_slow_trial_on_which_a_gan_loss_works_is_judged_by_its_rank():
    """On recorded curves a threshold on its gain left no trial at all: averaged weights lag behind."""
    s, works = scheduler(), {"gradient_shares": {"adversarial": 0.02}}
    assert s.decide("slow", report(60, 30.0, 199.9, **works)) == GO
    assert s.decide("slower", report(60, 30.0, 200.1, **works)) == STOP


def test_a_single_rung_stops_a_trial_that_does_nothing():
    assert scheduler(milestones=[30]).decide("a", report(30, 30.0, 200.0)) == STOP


def test_a_feasible_trial_on_the_front_continues():
    """A sweep returns a front, and `true` is a member of it; `behind` is dominated."""
    s = scheduler(reduction=4)
    assert s.decide("sharp", report(30, 29.0, 100.0)) == GO
    assert s.decide("between", report(30, 29.2, 110.0)) == GO
    assert s.decide("true", report(30, 29.4, 150.0)) == GO
    assert s.decide("behind", report(30, 29.3, 160.0)) == STOP
    assert s.decide("infeasible", report(30, 28.4, 110.0)) == STOP


@pytest.mark.parametrize("rule", ["feasible_first", "asha"])
def test_ranking_one_more_trial_takes_few_comparisons(rule, monkeypatch):
    """Counted, for 1,000 that are ranked: each comparison of two trials is work for the driver."""
    asked, order = [], list(range(1000))
    random.Random(5).shuffle(order)
    s = scheduler(milestones=(30,), rule=rule)
    monkeypatch.setattr(rules, "dominates", lambda a, b: asked.append(1) or dominates(a, b))
    for k in order:
        s.decide(f"t{k}", report(30, 29.0 + k / 1000, 100.0 + abs(k - 300)))
    assert len(s.recorded[30]) == 1000 and len(s.recorded[30].front) == 700
    assert len(asked) < 3 * 1000


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reduction", [2, 3])
def test_ties_are_decided_the_same_way_in_any_order_of_arrival(reduction, rule):
    recorded = {"a": (29.0, 150.0), "b": (29.0, 150.0), "c": (28.9, 140.0), "d": (29.1, 160.0)}
    for newcomer in ((28.9, 140.0), (29.0, 150.0), (29.1, 160.0), (29.0, 155.0)):
        answers = set()
        for order in itertools.permutations(recorded):
            s = scheduler(reduction=reduction, rule=rule)
            for name in order:
                s.decide(name, report(30, *recorded[name]))
            answers.add(s.decide("new", report(30, *newcomer)))
        assert len(answers) == 1
    same = scheduler(reduction=reduction, rule=rule)
    assert {same.decide(f"t{k}", report(30, 29.0, 150.0)) for k in range(12)} == {GO}


def test_asha_ranks_by_perception_alone():
    s = scheduler(rule="asha")
    assert s.decide("sharp", report(30, 20.0, 100.0)) == GO, "far below its warm start's distortion"
    assert s.decide("true", report(30, 29.9, 150.0)) == STOP
    assert s.decide("idle", report(60, 30.0, 90.0, warm_swd=90.0)) == GO, "and nothing but rank stops it"


def test_without_rungs_no_trial_is_stopped():
    s = scheduler(milestones=())
    assert {s.decide(f"t{k}", report(60, 20.0 - k, 200.0 + k)) for k in range(9)} == {GO}


def test_about_one_of_reduction_trials_continues():
    s = scheduler(reduction=4)
    swds = list(range(100, 180, 2))
    random.Random(3).shuffle(swds)
    answers = [s.decide(f"t{v}", report(30, 29.0, float(v))) for v in swds]
    # asynchronous halving lets early arrivals pass, by about the logarithm of their number
    assert 10 <= answers.count(GO) <= 22
    assert answers[swds.index(100)] == GO


@pytest.mark.parametrize("rule", RULES)
def test_the_log_of_decisions_reproduces_them(rule):
    draw, s = random.Random(1), scheduler(rule=rule)
    for k in range(60):
        trial, step = f"t{k % 20}", 30 * (1 + k // 20)
        more = {"gradient_shares": {"adversarial": draw.choice([0.0, 0.2])}, "journal": ({"step": step},)}
        s.decide(trial, report(step, draw.uniform(28, 30), draw.uniform(90, 200), **more))
    events = json.loads(json.dumps(s.events))
    assert events == s.events and "journal" not in events[0]["report"]
    again = scheduler(rule=rule)
    for event in events:
        assert again.decide(event["trial"], TrialReport(**event["report"])) == event["decision"]
    assert again.get_state() == s.get_state() and s.stopped
    assert len(s.events) == sum(len(rung) for rung in s.recorded.values())


@pytest.mark.parametrize("rule", RULES)
def test_events_replayed_on_a_new_scheduler_give_the_same_decisions(rule):
    s, again = scheduler(rule=rule), scheduler(rule=rule)
    for k in range(6):
        s.decide(f"t{k}", report(30, 29.0, 150.0 + k))
    again.replay(pickle.loads(pickle.dumps(s.events)))
    assert again.get_state() == s.get_state()
    for swd in (149.0, 152.5, 170.0):
        new = [x.decide(f"new {swd}", report(30, 29.0, swd)) for x in (s, again)]
        assert new[0] == new[1]
    assert again.get_state() == s.get_state()


def test_tune_asks_with_its_own_flattened_result():
    s, trial = scheduler(), SimpleNamespace(trial_id="a")
    result = report(30, 31.0, 150.0).to_result() | {"training_iteration": 1, "pid": 7}
    assert s.on_trial_result(None, trial, flatten_dict(result)) == GO
    assert list(s.recorded[30].entries) == ["a"]


def test_asking_twice_gives_the_same_answer_and_one_entry():
    s = scheduler()
    s.decide("good", report(30, 29.5, 100.0))
    for _ in range(2):
        s.decide("mid", report(30, 29.5, 150.0))
        s.decide("good", report(30, 29.5, 100.0))
    assert [s.decide("bad", report(30, 29.5, 180.0)) for _ in range(3)] == [STOP] * 3
    assert s.decide("bad", report(38, 29.5, 10.0)) == STOP, "a restored trial does not escape its decision"
    assert set(s.recorded[30].entries) == {"good", "mid", "bad"}
    assert s.stopped == {"mid": 30, "bad": 30}


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED])
def test_a_trial_that_ended_badly_leaves_the_others_as_they_were(status):
    with_it, without = scheduler(), scheduler()
    for k, (psnr, swd) in enumerate([(29.5, 150.0), (28.0, 100.0), (29.6, 170.0), (29.0, 120.0)]):
        bad = TrialReport(status=status, phase="gan", step=45, ranked={"psnr_y": 12.0, "swd": 900.0})
        assert with_it.decide(f"bad{k}", bad) == GO, "it ends by itself, with its own outcome"
        answers = [s.decide(f"t{k}", report(30, psnr, swd)) for s in (with_it, without)]
        assert answers[0] == answers[1]
    assert with_it.get_state() == without.get_state()


def test_a_preempted_trial_keeps_the_decision_of_its_last_report():
    """It repeats the step and the values of that report, so it is at no rung twice."""
    s = scheduler()
    for status in (Status.RUNNING, Status.PREEMPTED, Status.RUNNING):
        assert s.decide("a", report(30, 29.0, 150.0, status=status)) == GO
    assert len(s.events) == 1 and len(s.recorded[30]) == 1
