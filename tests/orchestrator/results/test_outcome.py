"""The outcome of a trial in words: each ending, and each remark on how it ran."""

import pytest
from helpers.rows import BICUBIC, SWD, report_of

from orchestrator.results.outcome import describe_outcome, reached_at, remarks
from orchestrator.results.trial_report import Status, TrialReport

RUNNING, COMPLETE = {"status": Status.RUNNING}, {}


@pytest.mark.parametrize(
    ("stage", "changes", "stopped_at", "error", "words"),
    [
        ("warm", COMPLETE, None, "", "PSNR phase trained"),
        ("screen", COMPLETE, None, "", "screened to the end"),
        ("confirm", COMPLETE, None, "", "confirmed"),
        ("screen", {"step": 60}, None, "", "trained to step 60 of 120"),
        ("screen", RUNNING, 32, "", "screened out at step 32 of 120"),
        ("screen", RUNNING, None, "", "unfinished"),
        ("screen", {"status": Status.PREEMPTED}, None, "", "unfinished"),
        (
            "screen",
            {"status": Status.DIVERGED, "diverged_term": "adversarial", "step": 41},
            32,
            "",
            "diverged: adversarial at step 41",
        ),
        ("screen", {"status": Status.FAILED, "reason": "no weights"}, None, "", "failed: no weights"),
        ("screen", COMPLETE, None, "OutOfMemory", "failed: OutOfMemory"),
        ("screen", {"status": Status.FAILED, "reason": "x"}, 32, "OutOfMemory", "failed: OutOfMemory"),
    ],
)
def test_every_ending_in_words(stage, changes, stopped_at, error, words):
    assert describe_outcome(stage, report_of(**changes), stopped_at, error) == words


def test_remarks_follow_the_ending():
    assert describe_outcome("confirm", report_of(), None, "", ["a", "b"]) == "confirmed; a; b"


def curve_of(swds, psnr=30.0):
    return [{"phase": "gan", "step": 8 * k, "psnr_y": psnr, "swd": swd} for k, swd in enumerate(swds)]


WAITED = {"diagnostics": {"data_wait_share": 0.45}}


@pytest.mark.parametrize(
    ("curve", "changes", "words"),
    [
        (curve_of([190, 150, 130, 121, 119, 120, 119, 120]), COMPLETE, []),
        (curve_of([190, 180, 170, 160, 150, 140, 130, 120]), COMPLETE, ["undertrained"]),
        (curve_of([190, 100, 170, 160, 150, 140, 130, 120]), COMPLETE, []),  # its best came early
        (curve_of([190, 180, 170, 160, 150, 140, 130, 120]), RUNNING, []),
        (curve_of([190, 180, 170, 120]), COMPLETE, []),  # too few evaluations to say
        (curve_of([190, 260]) + curve_of([300], psnr=20.0), COMPLETE, ["collapsed"]),
        (curve_of([190, 260]) + curve_of([300], psnr=20.0), {"status": Status.DIVERGED}, []),
        (curve_of([190]) + curve_of([100], psnr=20.0), COMPLETE, []),  # sharper: strayed, not collapsed
        (curve_of([190]), WAITED, ["loader-bound: 45% of its time"]),
        (curve_of([190, 260]) + curve_of([300], psnr=20.0), WAITED, ["collapsed", "loader-bound"]),
        (curve_of([190]), {"diagnostics": {"data_wait_share": 0.05}}, []),
        ([], COMPLETE, []),
    ],
)
def test_remarks_on_how_a_trial_ran(curve, changes, words):
    notes = remarks(report_of(**changes), curve, SWD, BICUBIC)
    assert len(notes) == len(words)
    assert all(note.startswith(w) for note, w in zip(notes, words, strict=True))
    assert describe_outcome("confirm", report_of(), None, "", notes).startswith("confirmed")


def test_a_value_is_reached_at_the_end_of_the_window_whose_median_it_is():
    values = [30.0, 28.0, 26.0, 29.0, 31.0]  # medians: 30, 29, 28, 28, 29
    curve = [{"phase": "gan", "step": 10 * k, "swd": v} for k, v in enumerate(values)]
    curve.insert(0, {"phase": "psnr", "step": 500, "swd": 28.0})
    ranked = TrialReport(phase="gan", step=40, ranked={"swd": 28.0})
    assert reached_at(ranked, curve, ("swd",)) == 20
    assert reached_at(TrialReport(phase="gan", step=40, ranked={"swd": 1.0}), curve, ("swd",)) == 40
