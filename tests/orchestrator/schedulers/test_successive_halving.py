"""Early stopping: who may never be stopped, who may never survive, and what a restart must not change."""

import itertools
import json
import pickle
import random
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from orchestrator.schedulers import rules
from orchestrator.schedulers.rules import (
    RULES,
    Entry,
    Rung,
    epsilon_net,
    feasible_first,
    front_ranks,
    single_objective,
)
from orchestrator.schedulers.rungs import rungs
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.sweep.tune_callback import LIVE, StageCallback
from trainers.objectives import Objectives, dominates

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
SWD = Objectives("psnr_y", "swd", delta_db=1.5)


def scheduler(milestones=(30, 60), reduction=2, rule="feasible_first"):
    return SuccessiveHalving(SWD, list(milestones), reduction, rule)


def report(step, psnr, swd, warm_psnr=30.0, warm_swd=200.0, **more):
    values = {"psnr_y": psnr, "swd": swd, "warm/psnr_y": warm_psnr, "warm/swd": warm_swd}
    return {"phase": "gan", "gan_step": step} | values | more


def of(entries):
    rung = Rung()
    for k, entry in enumerate(entries):
        rung.enter(f"t{k}", entry)
    return rung


class FakeTrial:
    def __init__(self, trial_id):
        self.trial_id, self.config = trial_id, {}
        self.run_metadata = SimpleNamespace(num_failures=0)


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


def test_pixel_loss_alone_is_no_gan_however_much_it_gains():
    s = scheduler()
    alone = {"gradient_share/pixel": 1.0}
    assert s.decide("a", report(30, 31, 150, **alone)) == GO
    assert s.decide("a", report(60, 31, 140, **alone)) == STOP
    assert s.decide("b", report(30, 29, 139, **{"gradient_share/adversarial": 0.2})) == GO
    assert s.decide("b", report(60, 29, 120, **{"gradient_share/adversarial": 0.2})) == GO


def test_a_slow_trial_on_which_a_gan_loss_works_is_judged_by_its_rank():
    """On recorded curves a threshold on its gain left no trial at all: averaged weights lag behind."""
    s, works = scheduler(), {"gradient_share/adversarial": 0.02}
    assert s.decide("slow", report(60, 30.0, 199.9, **works)) == GO
    assert s.decide("slower", report(60, 30.0, 200.1, **works)) == STOP


def test_where_there_is_only_one_rung_doing_nothing_ends_there():
    assert scheduler(milestones=[30]).decide("a", report(30, 30.0, 200.0)) == STOP


def test_feasible_first_then_perception():
    below = Entry((28.0, -90.0), floor=28.5)
    near = Entry((28.4, -150.0), floor=28.5)
    kept = Entry((28.6, -180.0), floor=28.5)
    sharp = Entry((28.5, -120.0), floor=28.5)
    assert sorted([below, near, kept, sharp], key=lambda e: e.key) == [sharp, kept, near, below]


@pytest.mark.parametrize("seed", range(20))
def test_feasible_first_counts_what_its_definition_counts(seed):
    draw = random.Random(seed)  # few values, so that many are equal in one coordinate or both
    entries = [
        Entry((float(draw.randint(0, 4)), float(draw.randint(0, 4))), float(draw.randint(0, 4)))
        for _ in range(40)
    ]
    rung = of(entries)
    assert rung.front == sorted(
        {e.point for e in entries if not any(dominates(o.point, e.point) for o in entries)}
    )
    for entry in entries:
        ahead = [o for o in entries if o.key < entry.key and not dominates(entry.point, o.point)]
        on_front = not any(dominates(o.point, entry.point) for o in entries)
        kept = on_front and entry.point[0] >= entry.floor
        assert feasible_first(entry, rung) == (0 if kept else len(ahead))
        assert single_objective(entry, rung) == sum(o.point[1] > entry.point[1] for o in entries)


def test_what_keeps_more_distortion_than_all_that_is_sharper_goes_on():
    """A sweep answers with a front, and this trial is one of its members; one behind it in both is not."""
    s = scheduler(reduction=4)
    assert s.decide("sharp", report(30, 29.0, 100.0)) == GO
    assert s.decide("between", report(30, 29.2, 110.0)) == GO
    assert s.decide("true", report(30, 29.4, 150.0)) == GO
    assert s.decide("behind", report(30, 29.3, 160.0)) == STOP
    assert s.decide("infeasible", report(30, 28.4, 110.0)) == STOP


@pytest.mark.parametrize("rule", ["feasible_first", "asha"])
def test_ranking_one_more_asks_few_of_those_before_it(rule, monkeypatch):
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


@pytest.mark.parametrize("seed", range(10))
def test_a_front_is_counted_not_sorted(seed):
    """Against the definition: front k is what nothing dominates once the fronts before it are gone."""
    draw = random.Random(seed)
    points = sorted({(draw.randint(0, 9), draw.randint(0, 9)) for _ in range(60)}, reverse=True)
    found, left, rank = dict(zip(points, front_ranks(points), strict=True)), set(points), 0
    while left:
        layer = {p for p in left if not any(dominates(q, p) for q in left)}
        assert {p for p in left if found[p] == rank} == layer
        left, rank = left - layer, rank + 1


def test_by_front_prefers_an_earlier_front_then_what_lies_apart():
    def ahead(point):
        return RULES["front"](Entry(point, 0.0), of(recorded))

    first = [(30.0, -200.0), (29.9, -198.0), (29.0, -150.0), (28.0, -100.0)]
    recorded = [Entry(p, 0.0) for p in [*first, (28.5, -160.0), (27.0, -120.0)]]
    assert [ahead(p) for p in first] == [1, 3, 2, 0], "the twin of an extreme comes last of its front"
    assert ahead((28.5, -160.0)) >= 4 and ahead((27.0, -120.0)) >= 4
    assert epsilon_net([(1.0, 1.0)]) == [(1.0, 1.0)]


def test_plain_asha_asks_perception_alone():
    s = scheduler(rule="asha")
    assert s.decide("sharp", report(30, 20.0, 100.0)) == GO, "far below its warm start's distortion"
    assert s.decide("true", report(30, 29.9, 150.0)) == STOP
    assert s.decide("idle", report(60, 30.0, 90.0, warm_swd=90.0)) == GO, "and nothing but rank stops it"


def test_without_rungs_nobody_is_stopped():
    s = scheduler(milestones=())
    assert {s.decide(f"t{k}", report(60, 20.0 - k, 200.0 + k)) for k in range(9)} == {GO}


def test_keeps_about_one_of_reduction():
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
        shares = {"gradient_share/adversarial": draw.choice([0.0, 0.2])}
        s.decide(trial, report(step, draw.uniform(28, 30), draw.uniform(90, 200), **shares, loss=1.0))
    again = s.replayed()
    assert again.get_state() == s.get_state() and s.stopped
    assert len(s.events) == sum(len(rung) for rung in s.recorded.values())
    assert json.loads(json.dumps(s.events)) == s.events


def test_asking_twice_gives_the_same_answer_and_one_entry():
    s = scheduler()
    s.decide("good", report(30, 29.5, 100.0))
    for _ in range(2):
        s.decide("mid", report(30, 29.5, 150.0))
        s.decide("good", report(30, 29.5, 100.0))
    assert [s.decide("bad", report(30, 29.5, 180.0)) for _ in range(3)] == [STOP] * 3
    assert s.decide("bad", report(38, 29.5, 10.0)) == STOP, "a restored trial does not escape its verdict"
    assert set(s.recorded[30].entries) == {"good", "mid", "bad"}
    assert s.stopped == {"mid": 30, "bad": 30}


def test_the_psnr_phase_is_never_ranked():
    s = scheduler()
    assert s.decide("a", {"phase": "psnr", "gan_step": 0, "psnr_y": 1.0, "swd": 1.0}) == GO
    assert not any(len(rung) for rung in s.recorded.values())


@pytest.mark.parametrize("end", [{"diverged": 1}, {"failed": "no such weights"}])
def test_a_trial_that_ended_badly_leaves_the_others_as_they_were(end):
    with_it, without = scheduler(), scheduler()
    for k, (psnr, swd) in enumerate([(29.5, 150.0), (28.0, 100.0), (29.6, 170.0), (29.0, 120.0)]):
        bad = {"phase": "gan", "gan_step": 45, "psnr_y": 12.0, "swd": 900.0} | end
        assert with_it.decide(f"bad{k}", bad) == GO, "it ends by itself, with its own verdict"
        answers = [s.decide(f"t{k}", report(30, psnr, swd)) for s in (with_it, without)]
        assert answers[0] == answers[1]
    assert with_it.get_state() == without.get_state()


@pytest.mark.parametrize("rule", RULES)
def test_state_survives_with_the_callback_that_carries_it(rule, monkeypatch):
    seen = []
    monkeypatch.setitem(LIVE, "sweep/screen", SimpleNamespace(resumed=seen.append))
    s = scheduler(rule=rule)
    callback = StageCallback("sweep/screen", s)
    for k in range(6):
        s.decide(f"t{k}", report(30, 29.0, 150.0 + k))
    state = pickle.loads(pickle.dumps(callback.get_state()))
    again = pickle.loads(pickle.dumps(StageCallback("sweep/screen", scheduler(rule=rule))))
    again.must_restore = True
    again.set_state(state)  # Tune's order: state, then every trial, then setup
    again.setup()
    assert seen == [again], "the driver hears what was done before"
    assert again.scheduler.get_state() == s.get_state()
    nxt = [x.decide("new", report(30, 29.0, 152.5)) for x in (s, again.scheduler)]
    assert nxt[0] == nxt[1]


def test_a_pickled_tuner_keeps_scheduler_and_callback_one():
    s = scheduler()
    callback, other = pickle.loads(pickle.dumps((StageCallback("sweep/screen", s), s)))
    assert callback.scheduler is other


def test_a_snapshot_that_was_not_read_is_an_error_before_any_trial_runs():
    callback = StageCallback("sweep/screen", scheduler())
    callback.must_restore = True
    with pytest.raises(ValueError, match="could not be read, and starting over would lose"):
        callback.setup()


def test_the_callback_keeps_curve_and_newest_result_without_the_bulk(monkeypatch):
    seen = []

    class Driver:
        def started(self, trial_id, params):
            seen.append(("started", trial_id))

        def reported(self, trial_id, result):
            seen.append(("reported", result["journal"]))

        def ended(self, trial_id, result, curve, error):
            seen.append(("ended", len(curve)))

    monkeypatch.setitem(LIVE, "s/screen", Driver())
    callback, trial = StageCallback("s/screen"), FakeTrial("t1")
    callback.errors["t1"] = "an earlier life's"
    callback.on_trial_start(0, [], trial)
    assert callback.errors == {}, "a resumed trial gets another chance"
    failures = []
    for step in (8, 16, 16):  # a restored trial reports its last step again
        trial.run_metadata.num_failures = 2
        extra = {"step": step, "last/swd": 1.0 * step, "journal": ["entry"], "config": {}, "pid": 1}
        callback.on_trial_result(0, [], trial, report(step, 29, 150) | extra)
        failures.append(trial.run_metadata.num_failures)
    assert failures == [0, 0, 2], "forgiven where it got further than ever"
    callback.on_trial_complete(0, [], trial)
    assert callback.curves["t1"] == [{"phase": "gan", "step": s, "swd": 1.0 * s} for s in (8, 16)]
    assert not {"journal", "config", "pid"} & set(callback.results["t1"])
    assert [what for what, _ in seen] == ["started", "reported", "reported", "reported", "ended"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ((120, 8, 2, 2), [32, 64]),
        ((200_000, 5_000, 3, 2), [20_000, 65_000]),
        ((64, 8, 4, 3), [24]),  # a median of three evaluations comes no earlier
        ((16, 8, 2, 2), []),
        ((120, 8, 2, 0), []),
        ((120, 8, 2, 2, 0.97), [64]),
        ((200, 10, 3, 2, 0.97), [70]),  # an average over 33 steps says nothing at 22, nor at 30
        ((200_000, 5_000, 3, 2, 0.999), [20_000, 65_000]),
    ],
)
def test_rungs(budget, expected):
    assert rungs(*budget) == expected
