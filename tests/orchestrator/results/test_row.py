"""One row of leaderboard.json: what everything else reads, pinned whole for one trial."""

import json
from dataclasses import replace

import pytest
from helpers.rows import BICUBIC, CONTEXT, MEASURED, ended_trial, report_of, row

from orchestrator.results.labels import label
from orchestrator.results.row import (
    PsnrNetwork,
    cost_of,
    design_key,
    make_row,
    metrics_of,
    prefixed,
    psnr_row,
)
from orchestrator.results.row import test_row as row_of_test
from orchestrator.results.trial_report import Status, Usage
from trainers.config import TrainConfig, override

GOLDEN = {
    "trial_id": "screen-1",
    "stage": "screen",
    "design": "b4 adv=0.1",
    "values": {"generator.num_blocks": 4, "loss.adversarial_weight": 0.1},
    "config": {"run.seed": 7, "generator.num_blocks": 4},
    "metrics": {
        "psnr_y": 30.0,
        "swd": 120.0,
        "ssim_y": 0.8,
        "warm/psnr_y": 30.2,
        "warm/swd": 190.0,
        "warm/ssim_y": 0.82,
        "bicubic/psnr_y": 29.0,
        "bicubic/swd": 230.0,
        "data_wait_share": 0.01,
        "gradient_share/adversarial": 0.25,
    },
    "protocol": {"psnr_y": "Y"},
    "verdict": "screened to the end",
    "seed": 7,
    "seconds": 36.0,
    "gpu_hours": 0.0,
    "cpu_hours": 0.02,
    "cost": 0.0,
    "hardware": "",
    "mlflow_run_id": None,
    "steps": 120,
    "max_steps": 120,
    "rung": None,
    "curve": [[8, 30.0, 150.0]],
    "candidates": [],
    "checkpoint": "url/120",
    "strip": "url/strip.png",
    "warm": None,
    "diverged": False,
    "finished": True,
}


def test_a_row_holds_what_everything_else_relies_on():
    shares = {"gradient_shares": {"adversarial": 0.25}, "diagnostics": {"data_wait_share": 0.01}}
    report = report_of(checkpoint="url/120", **shares)
    made = make_row(ended_trial(report, strip="url/strip.png"), CONTEXT)
    assert made == GOLDEN
    assert json.loads(json.dumps(made)) == made


def test_hours_are_of_the_device_that_was_held():
    assert row()["gpu_hours"] == 0 and row()["cpu_hours"] == pytest.approx(0.02)
    context = replace(CONTEXT, gpus=0.5, price=4.0)
    on_gpu = make_row(ended_trial(report_of(device="cuda")), context)
    assert on_gpu["gpu_hours"] == pytest.approx(36 / 3600 / 2)
    assert on_gpu["cost"] == pytest.approx(36 / 3600 / 2 * 4)


def test_a_cpu_trial_costs_nothing_whatever_its_price():
    report = report_of(usage=Usage(7200.0, 3600.0))
    assert cost_of(report, 1.0, 9.0) == {"gpu_hours": 0.0, "cpu_hours": 1.0, "cost": 0.0}


def test_a_confirmed_row_shows_the_curve_of_its_last_phase():
    curve = [{"phase": "psnr", "step": 8, "psnr_y": 28.0, "swd": 200.0}]
    curve += [{"phase": "gan", "step": 0, "psnr_y": 29.0, "swd": 190.0}]
    assert row(curve=curve)["curve"] == [[0, 29.0, 190.0]]
    assert row(curve=[])["curve"] == []


def test_a_diverged_and_a_failed_trial_are_rows_too():
    diverged = row(report=report_of(status=Status.DIVERGED, diverged_term="pixel", step=41))
    assert (diverged["diverged"], diverged["finished"], diverged["steps"]) == (True, False, 41)
    failed = report_of(status=Status.FAILED, reason="no weights", ranked={}, warm_start={}, step=0)
    made = row(report=failed, curve=[])
    assert made["verdict"] == "failed: no weights" and not made["diverged"] and not made["finished"]
    assert made["metrics"] == prefixed("bicubic", BICUBIC)


def test_metrics_leave_out_what_was_not_asked_for():
    assert metrics_of(report_of(), ("swd",)) == {"swd": 120.0, "warm/swd": 190.0}
    assert set(metrics_of(report_of(warm_start={}), MEASURED)) == set(MEASURED)


def test_seeds_share_a_design_and_a_lineage_is_another():
    values = {"loss.adversarial_weight": 0.1}
    key = design_key({"values": values})
    assert design_key({"values": values | {"run.seed": 3, "data.order_seed": 4}}) == key
    assert design_key({"values": {"loss.adversarial_weight": 0.2}}) != key
    one, other = ({"segments": [[0, {}], [step, values]], "parent": "url"} for step in (4, 6))
    keys = {design_key({"values": values, "lineage": lineage}) for lineage in (one, other)}
    assert len(keys | {key}) == 3
    assert design_key({"values": values, "lineage": one | {"parent": "another"}}) in keys


def test_a_lineage_is_in_the_row_of_a_trial_that_has_one():
    lineage = {"segments": [[0, {}]], "parent": "", "start_step": 0, "end_step": 4}
    assert make_row(ended_trial(lineage=lineage), CONTEXT)["lineage"] == lineage
    assert "lineage" not in row()


EVALUATION = {
    "summary": {"psnr_y": 28.0},
    "protocol": {"psnr_y": "Y, test"},
    "per_image": {"psnr_y": [27.0, 29.0]},
    "keys": ["a", "b"],
    "gpu_hours": 0.5,
    "cpu_hours": 0.25,
}


def test_a_psnr_network_has_one_name_in_both_its_rows_without_parentheses():
    """Tables called it by its kind, the row of its training by its settings: it seemed to be two networks.

    The pick line puts its reason in parentheses after the name.
    """
    settings = {"generator.num_blocks": 8, "run.psnr_steps": 1560, "run.seed": 3}
    network = PsnrNetwork("k", settings, override(TrainConfig(), settings), "warm/k", {"psnr_y": 31.0})
    made = psnr_row(network, EVALUATION, price=2.0)
    assert (made["trial_id"], made["design"]) == ("psnr-k", "PSNR network b8, 1,560 steps")
    assert made["design"] == label({k: v for k, v in settings.items() if k != "run.seed"})


def test_the_test_stage_measures_a_confirmed_row_again():
    confirmed = row("confirm-0-s1", "confirm")
    made = row_of_test(confirmed, EVALUATION, price=2.0)
    assert (made["trial_id"], made["of"], made["stage"]) == ("test-0-s1", "confirm-0-s1", "test")
    assert made["metrics"] == {"psnr_y": 28.0} and made["verdict"] == "measured on test"
    assert (made["gpu_hours"], made["cpu_hours"], made["cost"]) == (0.5, 0.25, 1.0)
    assert made["curve"] == made["candidates"] == [] and made["keys"] == ["a", "b"]
    assert made["protocol"] == {"psnr_y": "Y, test"} and made["per_image"] == {"psnr_y": [27.0, 29.0]}
    assert confirmed["stage"] == "confirm", "the row it comes from is unchanged"
