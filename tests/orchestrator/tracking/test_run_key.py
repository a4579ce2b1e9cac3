"""Names in MLflow are built and split in one place."""

import pytest

from orchestrator.tracking.run_key import experiment_name, run_key, split_run_key


def test_splitting_a_key_returns_its_parts():
    assert run_key("demo", "screen", "screen-0007") == "demo/screen/screen-0007"
    assert split_run_key("demo/screen/screen-0007") == ("demo", "screen", "screen-0007")


def test_every_sweep_has_an_experiment_of_its_own():
    assert experiment_name("faces-2") == "upsweep/faces-2"


@pytest.mark.parametrize("key", ["", "demo", "benchmark/0123abcd", "demo/screen/a/b"])
def test_a_key_of_anything_but_a_trial_is_refused(key):
    with pytest.raises(ValueError, match=f"must be sweep/stage/trial, but got '{key}'"):
        split_run_key(key)
