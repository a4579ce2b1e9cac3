"""The monitors of a trial: its reports, its checkpoints and what travels with them."""

import json
import statistics
from dataclasses import replace

import pytest
import torch
from helpers.trials import new_context, numbers_of, photographs, run  # noqa: F401

from orchestrator.results.trial_report import Status, TrialReport, Usage
from orchestrator.trial import monitor
from orchestrator.trial.context import RankContext
from orchestrator.trial.monitor import RankMonitor, TrialMonitor
from orchestrator.trial.totals import ShareMeans
from trainers import checkpoint
from trainers.distributed import Ranks
from trainers.state import Diverged, History, new_state


class Reports:
    """A reporter that keeps what it is given, and resumes from `resume_from`."""

    def __init__(self, resume_from=""):
        self.reports, self.pointers, self.resume_from = [], [], resume_from

    def report(self, result, pointer):
        self.reports.append(TrialReport.from_result(result))
        self.pointers.append(pointer)

    def pointer(self):
        return self.resume_from


class CountingRanks(Ranks):
    """One process that counts the collectives it takes part in."""

    collectives: list = []

    def total(self, number):
        self.collectives.append(number)
        return number


@pytest.fixture
def context(new_context):
    """The context of a screened trial with a reporter of its own."""
    made = new_context("screen")
    CountingRanks.collectives = []
    return replace(made, rank=RankContext(CountingRanks(), torch.device("cpu"), Reports()))


def gan_state(context, step=4):
    state = new_state(context.config, "gan", torch.device("cpu"))
    state.step = step
    rows = [{"step": s, "psnr_y": 30.0 - s / 10, "swd": 190.0 - s} for s in range(0, step + 1, 2)]
    return state, History(curve=rows, candidates=[0, step])


# -- reports -------------------------------------------------------------------------------------------


def test_a_trial_reports_its_best_so_far_and_its_latest_beside_it(run):
    run("warm")
    reports, _ = run(
        "screen", **{"loss.adversarial_weight": 5.0, "optim.lr_g": 1e-2, "objective.delta_db": 50.0}
    )
    last = [r.latest["swd"] for r in reports if r.latest]
    medians = [statistics.median(last[max(0, n - 3) : n]) for n in range(1, len(last) + 1)]
    assert medians != sorted(medians, reverse=True), "a trial that swings"
    ranked = [r.ranked["swd"] for r in reports if r.latest]
    assert ranked == [min(medians[:n]) for n in range(1, len(medians) + 1)]


def test_times_shares_and_place_are_in_every_report(run):
    run("warm")
    reports, _ = run("screen", **{"run.log_every_steps": 1})
    assert [r.gradient_shares for r in reports][0] == {}, "nothing was logged yet"
    assert all(set(r.gradient_shares) >= {"adversarial", "pixel"} for r in reports[1:])
    assert all({"data_wait_share", "d_accuracy"} <= set(r.diagnostics) for r in reports[1:])
    times = [r.usage for r in reports]
    assert times == sorted(times, key=lambda u: u.seconds) and times[0].cpu_seconds > 0
    assert all(r.usage == r.attempt_usage for r in reports), "nothing was resumed"
    assert {(r.max_steps, r.device) for r in reports} == {(6, "cpu")}
    assert len({r.attempt for r in reports}) == 1


def test_a_report_carries_a_new_checkpoint_once(context):
    trial, (state, progress) = TrialMonitor(context), gan_state(context)
    trial._draw_strip = lambda state: None
    trial.report(state, progress)
    trial.save(state, progress)
    trial.report(state, progress)
    trial.report(state, progress)
    pointer = f"s/trials/screen-1/{trial.attempt}/gan-00000004"
    assert context.rank.reporter.pointers == ["", pointer, ""] and trial.pointer == pointer
    checkpoint.verify(context.storage.fetch(pointer, context.scratch))


def test_a_complete_trial_names_its_own_candidates(context):
    resumed = replace(context, lineage=replace(context.lineage, start_step=4))
    for own, expected in ((context, [0, 4]), (resumed, [4])):
        trial, (state, progress) = TrialMonitor(own), gan_state(own)
        trial.report_complete(state, progress)
        last = own.rank.reporter.reports[-1]
        assert last.status is Status.COMPLETE and last.latest == {}
        assert [c["step"] for c in last.candidates] == expected
        assert last.candidates[-1]["swd"] == 186.0
        assert last.candidates[-1]["checkpoint"] == own.storage.url("s/trials/screen-1/candidates/00000004")


def test_a_diverged_trial_reports_a_grey_image_and_the_failing_term(context):
    trial, (state, progress) = TrialMonitor(context), gan_state(context)
    trial.report_diverged(Diverged(5, "adversarial"), state, progress)
    last = context.rank.reporter.reports[-1]
    assert (last.status, last.step, last.diverged_term) == (Status.DIVERGED, 5, "adversarial")
    assert last.warm_start == {"psnr_y": 30.0, "swd": 190.0} and last.ranked["psnr_y"] < 20
    assert all(value == value for value in numbers_of(last))


def test_a_trial_whose_first_evaluation_diverges_has_no_warm_start_to_report(context):
    trial, (state, _) = TrialMonitor(context), gan_state(context)
    trial.report_diverged(Diverged(0, "output"), state, History())
    last = context.rank.reporter.reports[-1]
    assert (last.status, last.diverged_term, last.warm_start) == (Status.DIVERGED, "output", {})


def test_a_preempted_trial_repeats_its_last_evaluation(context):
    trial, (state, progress) = TrialMonitor(context), gan_state(context)
    state.step = 5
    trial.report_preempted(state, progress)
    last = context.rank.reporter.reports[-1]
    assert (last.status, last.step, last.latest) == (Status.PREEMPTED, 4, {})
    assert last.ranked == {"psnr_y": 29.8, "swd": 188.0}, "the median of three"
    trial.report_preempted(state, History())
    assert context.rank.reporter.reports[-1].step == 0, "preempted before its first evaluation"


def test_a_failure_is_reported_without_a_collective(context):
    TrialMonitor(context).report_failed("no such weights")
    last = context.rank.reporter.reports[-1]
    assert (last.status, last.reason, last.phase) == (Status.FAILED, "no such weights", "gan")
    assert CountingRanks.collectives == [], "other ranks do not know of the failure and would not answer"


# -- checkpoints -----------------------------------------------------------------------------------------


def test_the_journal_travels_with_the_checkpoint(run, tmp_path):
    _, trial = run("warm")
    extra = checkpoint.read_extra(tmp_path / "runs" / trial.monitor.pointer)
    entries = [json.loads(line) for line in extra["journal"].splitlines()]
    assert {e["run_key"] for e in entries} == {"s/warm/warm-1"}
    assert max(e["step"] for e in entries) == 6


def test_a_resumed_attempt_puts_back_journal_time_and_shares(context):
    first, (state, progress) = TrialMonitor(context), gan_state(context)
    first.log("gan", 4, {"gradient_share/adversarial": 0.25, "d_accuracy": 0.5})
    first.usage.before_checkpoint = Usage(100.0, 200.0)
    first.save(state, progress)
    journal = first.journal_path.read_text()
    first.journal_path.unlink()  # another node has none
    rank = replace(context.rank, reporter=Reports(first.pointer))
    again = TrialMonitor(replace(context, rank=rank))
    assert again.restore() == context.storage.fetch(first.pointer, context.scratch)
    assert again.journal_path.read_text() == journal
    assert 100.0 <= again.usage.before_checkpoint.seconds < 200.0
    assert again.shares.means() == {"adversarial": 0.25}
    again.report_preempted(state, progress)
    assert again.attempt != first.attempt
    last = rank.reporter.reports[-1]
    assert last.usage.seconds > 100.0 > last.attempt_usage.seconds


def test_a_trial_that_takes_over_a_network_gets_its_shares_but_not_its_time(context):
    parent, (state, progress) = TrialMonitor(context), gan_state(context)
    parent.log("gan", 4, {"gradient_share/adversarial": 0.25})
    parent.usage.before_checkpoint = Usage(100.0, 200.0)
    parent.save(state, progress)
    child = TrialMonitor(context)
    child.take_over(context.storage.fetch(parent.pointer, context.scratch))
    assert child.shares.means() == {"adversarial": 0.25}
    assert child.usage.before_checkpoint == Usage()


def test_checkpoints_that_no_snapshot_names_any_more_are_deleted(context, monkeypatch):
    now, trial = [0.0], TrialMonitor(context)
    monkeypatch.setattr(monitor.time, "monotonic", lambda: now[0])
    attempt = f"s/trials/screen-1/{trial.attempt}"
    for step, kept in ((2, [2]), (4, [2, 4]), (6, [2, 4, 6]), (8, [4, 6, 8])):
        trial.save(*gan_state(context, step))
        assert context.storage.listing(attempt) == [f"gan-{s:08d}" for s in kept]
        now[0] += monitor.KEEP_SECONDS / 3 + 1
    now[0] += monitor.KEEP_SECONDS
    trial.save(*gan_state(context, 10))
    assert context.storage.listing(attempt) == ["gan-00000008", "gan-00000010"]


def test_a_dominated_candidate_is_deleted(context, monkeypatch):
    trial = TrialMonitor(context)
    for step in (2, 4):
        trial.keep_candidate(*gan_state(context, step))
    trial.drop_candidate(2)
    kept = lambda: context.storage.listing("s/trials/screen-1/candidates")  # noqa: E731
    assert kept() == ["00000002", "00000004"], "the newest checkpoint may still name it"
    monkeypatch.setattr(monitor, "KEEP_SECONDS", 0.0)
    trial.save(*gan_state(context, 5))
    assert kept() == ["00000004"], "only checkpoints after the drop are kept"


def test_a_trial_that_is_killed_after_a_drop_finds_the_candidates_of_its_checkpoint(context):
    trial = TrialMonitor(context)
    trial.keep_candidate(*gan_state(context, 2))
    trial.save(*gan_state(context, 2))
    trial.drop_candidate(2)
    for step in (4, 5, 6):  # kept for as long as a driver that died may ask for the first checkpoint
        trial.save(*gan_state(context, step))
    assert context.storage.listing("s/trials/screen-1/candidates") == ["00000002"]


# -- the other ranks --------------------------------------------------------------------------------------


def test_another_rank_takes_part_in_each_collective_of_the_first_and_writes_nothing(context):
    state, progress = gan_state(context)
    events = [
        lambda m: m.log("gan", 4, {"d_accuracy": 0.5}),
        lambda m: m.report(state, progress),
        lambda m: m.save(state, progress),
        lambda m: m.keep_candidate(state, progress),
        lambda m: m.drop_candidate(4),
        lambda m: m.begin_segment(context.config),
        lambda m: m.report_complete(state, progress),
        lambda m: m.report_diverged(Diverged(5, "pixel"), state, progress),
        lambda m: m.report_preempted(state, progress),
    ]
    first, other = TrialMonitor(context), RankMonitor(context)
    first._draw_strip = lambda state: None
    for k, event in enumerate(events):
        counts = []
        for each in (first, other):
            CountingRanks.collectives.clear()
            event(each)
            counts.append(len(CountingRanks.collectives))
        assert counts[0] == counts[1], f"event {k}"
    assert len(context.rank.reporter.reports) == 4, "those of the first"


def test_another_rank_resumes_from_the_first_one_s_checkpoint_and_reports_a_failure(context):
    first = TrialMonitor(context)
    first.save(*gan_state(context))
    rank = replace(context.rank, reporter=Reports(first.pointer))
    other = RankMonitor(replace(context, rank=rank))
    assert other.restore() == context.storage.fetch(first.pointer, context.scratch)
    assert RankMonitor(context).restore() is None
    other.report_failed("no such weights")
    assert [r.reason for r in rank.reporter.reports] == ["no such weights"]


# -- means of shares -----------------------------------------------------------------------------------


def test_a_share_is_the_mean_over_its_phase_and_survives_a_resume(run, tmp_path):
    run("warm")
    reports, trial = run("screen", **{"run.log_every_steps": 1})
    entries = [json.loads(line) for line in trial.monitor.journal_path.read_text().splitlines()]
    name = "gradient_share/adversarial"
    logged = [e["values"][f"gan/{name}"] for e in entries if f"gan/{name}" in e.get("values", {})]
    assert len(logged) == 6 and len(set(logged)) > 1
    assert reports[-1].gradient_shares["adversarial"] == pytest.approx(sum(logged) / 6)
    extra = checkpoint.read_extra(tmp_path / "runs" / trial.monitor.pointer)
    assert extra["shares"]["sums"]["adversarial"] == pytest.approx([sum(logged), 6])
    again = ShareMeans(**extra["shares"])
    again.add("gan", {name: 0.0})
    assert again.means()["adversarial"] == pytest.approx(sum(logged) / 7)
    again.add("psnr", {"gradient_share/pixel": 1.0})
    assert set(again.means()) == {"pixel"}, "a phase has its own mean"
