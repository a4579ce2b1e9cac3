"""The first value of each metric step and of each param passes; names are made acceptable to MLflow."""

import pytest

from orchestrator.tracking.deduplicate import NAME_LIMIT, Deduplicator, clean_name


def metrics(step, **values):
    return {"run_key": "a", "kind": "metrics", "step": step, "values": values}


def test_a_value_passes_once_per_run_metric_and_step():
    deduplicator = Deduplicator()
    assert deduplicator.new_part(metrics(1, psnr_y=20.0))["values"] == {"psnr_y": 20.0}
    assert deduplicator.new_part(metrics(1, psnr_y=99.0, swd=1.0))["values"] == {"swd": 1.0}
    assert deduplicator.new_part(metrics(2, psnr_y=21.0))["values"] == {"psnr_y": 21.0}
    other_run = {**metrics(1, psnr_y=22.0), "run_key": "b"}
    assert deduplicator.new_part(other_run)["values"] == {"psnr_y": 22.0}


def test_what_the_server_has_is_not_sent():
    deduplicator = Deduplicator()
    deduplicator.mark_points("a", "psnr_y", [1, 2])
    deduplicator.mark_params("a", ["seed"])
    assert deduplicator.new_part(metrics(2, psnr_y=20.0))["values"] == {}
    start = {"run_key": "a", "kind": "start", "params": {"seed": "1", "scale": "4"}}
    assert deduplicator.new_part(start)["params"] == {"scale": "4"}
    assert deduplicator.new_part(start)["params"] == {}


def test_the_first_value_that_is_not_finite_becomes_a_tag():
    deduplicator = Deduplicator()
    first = deduplicator.new_part(metrics(7, loss_g="inf"))
    assert first["values"] == {} and first["tags"] == {"upsweep.nonfinite.loss_g": "inf at step 7"}
    assert deduplicator.new_part(metrics(8, loss_g="nan"))["tags"] == {}


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("val/psnr_y", "val/psnr_y"),
        ("a&b=c", "a_b_c"),
        ("../up", "_up"),
        ("a//b", "a/_b"),
        ("a/", "a_"),
        ("", "_"),
        ("x" * 300, "x" * NAME_LIMIT),
    ],
)
def test_names_are_made_acceptable(name, cleaned):
    assert clean_name(name) == cleaned
