"""The table of metrics is complete, and what cannot be measured is said in one sentence."""

import pytest

from datasets.errors import UserError
from trainers.metrics import METRICS, format_metric, meanings, require
from trainers.metrics.table import BUILT_IN
from trainers.weights import NEEDS, VARIABLE


def test_each_entry_carries_its_key_a_direction_and_a_protocol():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.direction in ("max", "min")
        assert metric.level in ("image", "set")
        assert metric.protocol
    assert NEEDS.keys() <= METRICS.keys()


def test_every_metric_is_explained_to_people_who_do_not_know_it():
    for name in BUILT_IN:
        assert len(meanings(name)) > 20 and not meanings(name).endswith("."), name
    assert meanings("psnr_y", "psnr_y_float") == meanings("psnr_y"), "one sentence for what is the same"
    assert meanings("mine.py:score", "ergas") == "ERGAS is the relative error over all bands"


def test_values_are_printed_with_the_decimals_of_their_metric():
    assert format_metric("psnr_y", 28.417) == "28.42" and format_metric("ssim_y", 0.81) == "0.8100"
    assert format_metric("swd", 51.04) == "51.0" and format_metric("swd", 0.0) == "0.0"
    assert format_metric("cost", 1.25) == "1.25"
    assert format_metric("psnr_y", None) == format_metric("psnr_y", float("nan")) == "–"
    assert format_metric("psnr_y", None, missing="") == ""


def test_unknown_metric_names_the_nearest_and_the_option():
    with pytest.raises(UserError, match=r"no metric 'psnry'.*did you mean 'psnr_y'.*objective.distortion"):
        require(["psnry"], "objective.distortion")


def test_pi_is_said_to_be_out_of_reach_and_never_replaced():
    with pytest.raises(UserError, match="metric pi is unavailable: .* measure niqe, its other half"):
        require(["psnr_y", "pi"])


def test_absent_weights_are_said_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        UserError, match=r"lpips_alex is unavailable: .*UPSWEEP_WEIGHTS.*objective.perceptual swd"
    ):
        require(["psnr_y", "lpips_alex"])
