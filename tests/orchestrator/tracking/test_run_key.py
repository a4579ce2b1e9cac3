"""Names in MLflow are built and split in one place."""

import json

import pytest

from datasets.address import masked
from orchestrator.tracking.run_key import (
    RUNS_PAGE,
    VIEW_PAGE,
    VIEW_TAG,
    experiment_name,
    run_key,
    runs_view,
    split_run_key,
)


def test_splitting_a_key_returns_its_parts():
    assert run_key("demo", "screen", "screen-0007") == "demo/screen/screen-0007"
    assert split_run_key("demo/screen/screen-0007") == ("demo", "screen", "screen-0007")


def test_every_sweep_has_an_experiment_of_its_own():
    assert experiment_name("faces-2") == "upsweep/faces-2"


@pytest.mark.parametrize("key", ["", "demo", "benchmark/0123abcd", "demo/screen/a/b"])
def test_a_key_of_anything_but_a_trial_is_refused(key):
    with pytest.raises(ValueError, match=f"must be sweep/stage/trial, but got '{key}'"):
        split_run_key(key)


def test_the_view_of_an_experiment_shows_both_objectives_and_its_page_names_nothing_else():
    view = json.loads(runs_view("swd", "psnr_y"))
    assert view["selectedColumns"][:2] == ["metrics.`best/swd`", "metrics.`best/psnr_y`"]
    assert VIEW_TAG == "mlflow.sharedViewState.upsweep" and VIEW_PAGE.endswith("viewStateShareKey=upsweep")
    assert not [name for name in view if name in VIEW_PAGE], "MLflow then ignores the view"


def test_the_addresses_of_runs_hold_nothing_that_is_taken_for_a_secret():
    """The key of a view was hidden like an access key, and the printed address opened nothing."""
    for page in (RUNS_PAGE, VIEW_PAGE):
        address = f"http://127.0.0.1:5000/#/experiments/1/{page}"
        assert masked(f"MLflow: {address}") == f"MLflow: {address}"
