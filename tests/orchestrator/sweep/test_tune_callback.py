"""What Tune's callback of a stage remembers, and the scheduler's state that it saves with its own."""

import pickle
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from datasets.errors import UserError
from orchestrator.results.trial_report import Status, TrialReport, Usage
from orchestrator.schedulers.rules import RULES
from orchestrator.schedulers.successive_halving import SuccessiveHalving
from orchestrator.search.hooks import active
from orchestrator.sweep.tune_callback import StageCallback
from trainers.objectives import Objectives

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
KEY = "sweep/screen"


def scheduler(rule="feasible_first"):
    return SuccessiveHalving(Objectives("psnr_y", "swd", 1.5), [30, 60], 2, rule)


def report(step, psnr, swd, **more):
    ranked, warm = {"psnr_y": psnr, "swd": swd}, {"psnr_y": 30.0, "swd": 200.0}
    return TrialReport(phase="gan", step=step, ranked=ranked, warm_start=warm, **more)


class FakeTrial:
    def __init__(self, trial_id):
        self.trial_id, self.config = trial_id, {}
        self.run_metadata = SimpleNamespace(num_failures=0)


class Driver:
    """Hooks that note their events."""

    def __init__(self):
        self.events = []
        self.pages = {}
        self.write_page, self.read_page = self.pages.__setitem__, self.pages.__getitem__

    def on_resume(self, ended):
        self.events.append(("resume", ended))

    def on_start(self, tune_id, params):
        self.events.append(("start", tune_id))

    def on_report(self, tune_id, result):
        self.events.append(("report", TrialReport.from_result(result).journal))

    def on_end(self, tune_id):
        self.events.append(("end", tune_id))
        return {"trial_id": tune_id}

    @property
    def rows(self):
        return [name for kind, name in self.events if kind == "end"]


@pytest.mark.parametrize("rule", RULES)
def test_state_survives_with_the_callback_that_carries_it(rule):
    driver, s = Driver(), scheduler(rule)
    callback = StageCallback(KEY, s)
    with active(KEY, driver):
        for k in range(6):
            trial = FakeTrial(f"t{k}")
            callback.on_trial_start(0, [], trial)
            s.decide(f"t{k}", report(30, 29.0, 150.0 + k))
        state = pickle.loads(pickle.dumps(callback.get_state()))
        again = pickle.loads(pickle.dumps(StageCallback(KEY, scheduler(rule))))
        again.must_restore = True
        again.set_state(state)  # Tune's order: state, then every trial, then setup
        again.setup()
    assert driver.events[-1] == ("resume", list(s.stopped)), "the driver hears what had ended before"
    assert s.stopped and again.scheduler.get_state() == s.get_state()
    new = [x.decide("new", report(30, 29.0, 152.5)) for x in (s, again.scheduler)]
    assert new[0] == new[1]


def test_a_snapshot_holds_what_is_known_of_ended_trials_in_pages_that_are_written_once(monkeypatch):
    """Its size follows the trials that run, whatever the number of those that are over."""
    monkeypatch.setattr("orchestrator.results.pages.PAGE", 10)
    driver, s = Driver(), scheduler()
    callback, sizes, written = StageCallback(KEY, s), [], []
    usage = {"attempt_usage": Usage(7.0), "device": "cuda"}
    with active(KEY, driver):
        for k in range(60):
            trial = FakeTrial(f"t{k}")
            trial.config = {"loss.adversarial_weight": k / 100}
            callback.on_trial_start(0, [], trial)
            sent = report(60, 29.0, 150.0 + k % 7, latest={"swd": 1.0}, **usage)
            s.decide(f"t{k}", sent)
            callback.on_trial_result(0, [], trial, sent.to_result())
            if k != 50:  # it runs still
                callback.on_trial_complete(0, [], trial)
            before = dict(driver.pages)
            sizes.append(len(callback.get_state()["paged"]))
            written.append(len(driver.pages) - len(before))
            assert driver.pages.items() >= before.items(), "no page is written a second time"
        again = pickle.loads(pickle.dumps(StageCallback(KEY, scheduler())))
        again.set_state(pickle.loads(pickle.dumps(callback.get_state())))
    per_trial = sum(map(len, driver.pages.values())) / len(driver.rows)
    assert (sizes[59] - sizes[19]) / 40 < per_trial / 4, "its id alone"
    assert sum(written) == len(driver.pages) == 11
    for name in ("reports", "curves", "params", "attempts", "rows", "errors"):
        assert getattr(again, name) == getattr(callback, name)
    assert list(again.params) == list(callback.params), "in the order in which they were drawn"
    assert again.scheduler.get_state() == s.get_state() and again.cuda_seconds == callback.cuda_seconds == 420
    with active(KEY, driver):
        before = dict(driver.pages)
        assert again.get_state() and again.pages.digests == callback.pages.digests
        assert driver.pages == before, "it goes on where the other stopped"
        driver.pages["trials-000003"] = driver.pages["trials-000003"][:-1]
        with pytest.raises(UserError, match="page trials-000003 of a snapshot is missing or damaged"):
            again.set_state(callback.get_state())


def test_a_pickled_tuner_keeps_scheduler_and_callback_one():
    s = scheduler()
    callback, other = pickle.loads(pickle.dumps((StageCallback(KEY, s), s)))
    assert callback.scheduler is other


def test_a_snapshot_that_was_not_read_is_an_error_before_any_trial_runs():
    callback = StageCallback(KEY, scheduler())
    callback.must_restore = True
    with pytest.raises(UserError, match="could not be read, and starting over would lose"):
        callback.setup()


def test_the_callback_keeps_curve_and_newest_report_without_the_bulk():
    driver, callback, trial = Driver(), StageCallback(KEY), FakeTrial("t1")
    callback.errors["t1"] = "an earlier attempt's"
    failures = []
    with active(KEY, driver):
        callback.on_trial_start(0, [], trial)
        assert callback.errors == {}, "a resumed trial gets another chance"
        for step in (8, 16, 16):  # a restored trial reports its last step again
            trial.run_metadata.num_failures = 2
            sent = report(step, 29, 150, latest={"swd": 1.0 * step}, journal=("entry",))
            callback.on_trial_result(0, [], trial, sent.to_result() | {"config": {}, "pid": 1})
            failures.append(trial.run_metadata.num_failures)
        assert failures == [0, 0, 2], "failures are forgiven when a trial got further than ever"
        callback.on_trial_complete(0, [], trial)
    assert callback.curves["t1"] == [{"phase": "gan", "step": s, "swd": 1.0 * s} for s in (8, 16)]
    assert callback.reports["t1"] == report(16, 29, 150, latest={"swd": 16.0})
    assert callback.rows == {"t1": {"trial_id": "t1"}}
    assert driver.events == [("start", "t1"), *[("report", ("entry",))] * 3, ("end", "t1")]


def test_a_report_without_a_new_evaluation_adds_no_point():
    callback, trial = StageCallback(KEY), FakeTrial("t1")
    with active(KEY, Driver()):
        for status in (Status.PREEMPTED, Status.COMPLETE):
            trial.run_metadata.num_failures = 1
            callback.on_trial_result(0, [], trial, report(16, 29, 150, status=status).to_result())
    assert callback.curves["t1"] == [] and trial.run_metadata.num_failures == 1


def test_a_retry_adds_its_time_to_that_of_earlier_attempts():
    callback, trial = StageCallback(KEY), FakeTrial("t1")
    with active(KEY, Driver()):
        for attempt, seconds in (("a", 10.0), ("a", 20.0), ("b", 5.0)):
            usage = {"attempt": attempt, "attempt_usage": Usage(seconds, 2 * seconds)}
            callback.on_trial_result(0, [], trial, report(8, 29, 150, **usage).to_result())
    assert callback.reports["t1"].usage == Usage(25.0, 50.0)
