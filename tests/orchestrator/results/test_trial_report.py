"""The seam between a trial and Tune: what is sent is what is read, also after Tune has flattened it."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from ray.tune.utils import flatten_dict

from orchestrator.results.trial_report import Status, TrialReport, Usage, status_of

REPORT = TrialReport(
    status=Status.COMPLETE,
    phase="gan",
    step=6,
    max_steps=8,
    ranked={"psnr_y": 30.0, "swd": 120.0},
    latest={"psnr_y": 29.0, "swd": 130.0},
    warm_start={"psnr_y": 30.5, "swd": 190.0},
    gradient_shares={"adversarial": 0.25},
    diagnostics={"data_wait_share": 0.01},
    usage=Usage(3.0, 5.0),
    attempt="attempt-1",
    attempt_usage=Usage(1.0, 2.0),
    device="cuda",
    hardware="NVIDIA A10G",
    machine_fault=True,
    candidates=({"step": 6, "psnr_y": 30.0, "checkpoint": "url"},),
    checkpoint="url of the checkpoint",
    reason="a sentence",
    diverged_term="adversarial",
    journal=({"step": 2}, {"step": 4}),
)


@pytest.mark.parametrize("report", [REPORT, TrialReport(), replace(REPORT, status=Status.PREEMPTED)])
def test_a_result_is_plain_data_and_reads_back_as_the_report(report):
    result = report.to_result()
    assert TrialReport.from_result(result) == report
    assert type(result["report"]) is str, "no class of ours in a file that Tune writes"
    assert TrialReport.from_result(json.loads(json.dumps(result))) == report
    assert TrialReport.from_result(pickle.loads(pickle.dumps(result))) == report
    assert TrialReport.from_result(flatten_dict(result)) == report, "as schedulers and searchers get it"


def test_the_example_sets_every_field():
    assert all(getattr(REPORT, name) != getattr(TrialReport(), name) for name in vars(REPORT))


def test_a_result_of_tune_holds_more_than_the_report():
    result = REPORT.to_result() | {"training_iteration": 3, "config": {"index": 1}, "pid": 7}
    assert TrialReport.from_result(result) == REPORT
    assert TrialReport.from_result(flatten_dict(result)) == REPORT
    with pytest.raises(KeyError, match="report"):
        TrialReport.from_result({"training_iteration": 3})


def test_tune_may_flatten_a_result_before_its_scheduler_and_sampler_read_it():
    flat = flatten_dict(REPORT.to_result())
    assert (flat["ranked/psnr_y"], flat["ranked/swd"]) == (30.0, 120.0)
    assert TrialReport.from_result(flat) == REPORT


@pytest.mark.parametrize("status", Status)
def test_the_status_is_read_from_both_forms(status):
    result = replace(REPORT, status=status).to_result()
    assert status_of(result) is status_of(flatten_dict(result)) is status


def test_a_result_without_a_report_is_running():
    assert status_of({}) is status_of({"training_iteration": 1}) is Status.RUNNING


def test_which_status_ends_a_trial():
    assert [s for s in Status if not s.ends_trial] == [Status.RUNNING, Status.PREEMPTED]
    assert [str(s) for s in Status] == ["running", "complete", "diverged", "failed", "preempted"]


def test_times_add_up():
    assert Usage(1.0, 2.0) + Usage(0.5, 4.0) == Usage(1.5, 6.0)
    assert sum([Usage(1.0, 2.0)] * 3, Usage()) == Usage(3.0, 6.0)


def test_a_report_is_frozen():
    with pytest.raises(FrozenInstanceError):
        REPORT.step = 7
