"""Rows of a sweep: their keys, their words, and which of them are worth confirming."""

import json

import pytest

from orchestrator.results import leaderboard, outcome
from orchestrator.results.leaderboard import to_confirm, use_best_checkpoint
from orchestrator.results.outcome import describe_outcome
from orchestrator.results.row import make_row
from orchestrator.storage import Storage
from trainers.objectives import Objectives

SWD = Objectives("psnr_y", "swd", delta_db=0.5)
MEASURED = ("psnr_y", "swd", "ssim_y")


def result(**more):
    values = {"psnr_y": 30.0, "swd": 120.0, "ssim_y": 0.8, "warm/psnr_y": 30.2, "warm/swd": 190.0}
    values |= {"warm/ssim_y": 0.82, "step": 120, "max_steps": 120, "complete": 1, "diverged": 0}
    return values | {"seconds": 36.0, "cpu_seconds": 72.0, "device": "cpu", "phase": "gan"} | more


def row(trial_id="screen-1", stage="screen", **more):
    made = make_row(
        stage=stage,
        trial_id=trial_id,
        values={"generator.num_blocks": 4, "loss.adversarial_weight": 0.1},
        config={"run.seed": 7, "generator.num_blocks": 4, "loss.pixel_weight?": True},
        result=result(**more.pop("result", {})),
        curve=more.pop("curve", [{"phase": "gan", "step": 8, "psnr_y": 30.0, "swd": 150.0}]),
        measured=MEASURED,
        bicubic={"psnr_y": 29.0, "swd": 230.0},
        protocol={"psnr_y": "Y"},
        stopped_at=more.pop("stopped_at", None),
        error=more.pop("error", ""),
        gpus=more.pop("gpus", 0.0),
        objectives=SWD,
    )
    return made | {"values": {"generator.num_blocks": 4, "at": trial_id}} | more


def test_a_row_holds_what_everything_else_relies_on():
    made = row()
    named = "trial_id stage design config metrics protocol verdict seed gpu_hours cpu_hours mlflow_run_id"
    assert set(f"{named} steps max_steps rung curve checkpoint strip".split()) <= set(made)
    assert made["design"] == "b4 adv=0.1"
    assert made["seed"] == 7
    assert made["config"] == {"run.seed": 7, "generator.num_blocks": 4}, "a switch is no setting"
    assert made["metrics"]["bicubic/swd"] == 230.0 and made["metrics"]["warm/swd"] == 190.0
    assert made["curve"] == [[8, 30.0, 150.0]]
    assert json.loads(json.dumps(made)) == made


def test_hours_are_of_the_device_that_was_held():
    assert row()["gpu_hours"] == 0 and row()["cpu_hours"] == pytest.approx(0.02)
    on_gpu = row(result={"device": "cuda"}, gpus=0.5)
    assert on_gpu["gpu_hours"] == pytest.approx(36 / 3600 / 2)


def test_a_confirmed_row_shows_the_curve_of_its_last_phase():
    curve = [{"phase": "psnr", "step": 8, "psnr_y": 28.0, "swd": 200.0}]
    curve += [{"phase": "gan", "step": 0, "psnr_y": 29.0, "swd": 190.0}]
    assert row(curve=curve)["curve"] == [[0, 29.0, 190.0]]
    assert row(curve=[])["curve"] == []


@pytest.mark.parametrize(
    ("stage", "more", "stopped_at", "error", "words"),
    [
        ("warm", {}, None, "", "warm start trained"),
        ("screen", {}, None, "", "screened to the end"),
        ("confirm", {}, None, "", "confirmed"),
        ("screen", {"complete": 0}, 32, "", "screened out at step 32 of 120"),
        ("screen", {"complete": 0}, None, "", "unfinished"),
        ("screen", {"diverged": 1, "diverged_term": "adversarial", "diverged_step": 41}, 32, "", None),
        ("screen", {"failed": "no weights"}, None, "", "failed: no weights"),
        ("screen", {}, None, "OutOfMemory", "failed: OutOfMemory"),
    ],
)
def test_verdicts_in_words(stage, more, stopped_at, error, words):
    expected = words or "diverged: adversarial at step 41"
    assert describe_outcome(stage, result(**more), stopped_at, error) == expected


BICUBIC = {"psnr_y": 29.0, "swd": 230.0}


def curve_of(swds, psnr=30.0):
    return [{"phase": "gan", "step": 8 * k, "psnr_y": psnr, "swd": swd} for k, swd in enumerate(swds)]


@pytest.mark.parametrize(
    ("curve", "more", "words"),
    [
        (curve_of([190, 150, 130, 121, 119, 120, 119, 120]), {}, []),
        (curve_of([190, 180, 170, 160, 150, 140, 130, 120]), {}, ["undertrained"]),
        (curve_of([190, 180, 170, 160, 150, 140, 130, 120]), {"complete": 0}, []),
        (curve_of([190, 180, 170, 120]), {}, []),  # too few evaluations to say
        (curve_of([190, 260]) + curve_of([300], psnr=20.0), {}, ["collapsed"]),
        (curve_of([190]) + curve_of([100], psnr=20.0), {}, []),  # sharper: strayed, not collapsed
        (curve_of([190]), {"data_wait_share": 0.45}, ["loader-bound: 45%"]),
        (curve_of([190]), {"data_wait_share": 0.05}, []),
        ([], {}, []),
    ],
)
def test_remarks_on_how_a_trial_ran(curve, more, words):
    found = outcome.remarks(result(**more), curve, SWD, BICUBIC)
    assert len(found) == len(words)
    assert all(f.startswith(w) for f, w in zip(found, words, strict=True))
    assert describe_outcome("confirm", result(), None, "", found).startswith("confirmed")


def test_a_confirmed_trial_is_its_best_evaluated_checkpoint():
    candidates = [
        {"step": 0, "psnr_y": 30.2, "swd": 190.0, "checkpoint": "0"},
        {"step": 64, "psnr_y": 29.8, "swd": 110.0, "checkpoint": "64"},
        {"step": 120, "psnr_y": 29.0, "swd": 100.0, "checkpoint": "120"},  # below the floor of 29.7
    ]
    chosen = use_best_checkpoint(row(result={"candidates": candidates}), SWD)
    assert (chosen["chosen_step"], chosen["checkpoint"]) == (64, "64")
    assert chosen["metrics"]["swd"] == 110.0 and chosen["metrics"]["warm/swd"] == 190.0
    assert chosen["last"] == {"step": 120, "psnr_y": 29.0, "swd": 100.0}


def screened(trial_id, steps, psnr, swd, **more):
    made = row(trial_id, steps=steps, **more)
    return made | {"metrics": made["metrics"] | {"psnr_y": psnr, "swd": swd}}


def test_full_budget_before_stopped_then_the_rule():
    rows = [
        screened("stopped", 32, 32.0, 50.0),
        screened("full", 120, 30.0, 150.0),
        screened("sharper", 120, 30.0, 140.0),
        screened("further", 64, 30.0, 180.0),
        screened("diverged", 120, 12.0, 10.0, diverged=True),
        screened("never began", 0, 30.0, 10.0),
        row("warm-1", stage="warm"),
    ]
    names = [r["trial_id"] for r in to_confirm(rows, SWD, 9)]
    assert names == ["sharper", "full", "further", "stopped"]
    assert [r["trial_id"] for r in to_confirm(rows, SWD, 1)] == ["sharper"]
    assert to_confirm([], SWD, 2) == []


def test_a_design_drawn_twice_is_confirmed_once():
    same = {"generator.num_blocks": 4}
    rows = [
        screened("early", 32, 30.0, 150.0, values=same),
        screened("again", 120, 30.0, 150.0, values=same),
        screened("other", 120, 30.0, 170.0, values={"generator.num_blocks": 2}),
    ]
    assert [r["trial_id"] for r in to_confirm(rows, SWD, 3)] == ["again", "other"]


def test_the_file_is_a_list_of_rows(tmp_path):
    storage = Storage(str(tmp_path))
    leaderboard.write(storage, "s", [row()])
    assert leaderboard.read(storage, "s") == [row()]
    assert isinstance(json.loads((tmp_path / "s" / "leaderboard.json").read_text()), list)
