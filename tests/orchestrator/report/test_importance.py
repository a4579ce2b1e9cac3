"""Importances, and the place of each value on its axis."""

import json

import pytest
from helpers.fake_sweep import fake_sweep

from orchestrator.report import build_report
from orchestrator.report.data import read
from orchestrator.report.importance import column, importances, varied


def test_the_setting_that_decides_is_named_first(tmp_path):
    fake_sweep(tmp_path, trials=40)
    facts = read(tmp_path)
    rows = [r for r in facts.of_stage("screen") if r["rung"] is None and not r["diverged"]]
    found = importances(facts, rows, varied(rows))
    assert max(found, key=found.get) == "loss.adversarial_weight"
    assert found["loss.adversarial_weight"] > 0.7 and sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("trials", [4, 40])
def test_trials_with_equal_metrics_have_a_report_without_importances(tmp_path, trials):
    """As where the adversarial loss is too weak to show in so few steps."""
    _, rows = fake_sweep(tmp_path, trials=trials)
    for r in rows:
        r["metrics"] |= {"psnr_y": 26.0, "swd": 46.0}
        r["curve"] = [[step, 26.0, 46.0] for step, *_ in r["curve"]]
        r |= {"per_image": {k: [26.0] * 31 for k in r["per_image"]}} if "per_image" in r else {}
        r |= {"rung": None} if r["stage"] == "screen" else {}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    page = build_report(tmp_path).read_text()
    assert "What the settings did" in page and "nan" not in page
    assert ("All came to the same value: no importances" in page) == (trials == 40)
    assert column("psnr_y", [26.0, 26.0]).labels == [(0.5, "26")]


def test_few_trials_are_read_in_the_table_alone(tmp_path):
    _, rows = fake_sweep(tmp_path, trials=3)
    for r in rows:
        r |= {"rung": None} if r["stage"] == "screen" else {}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert "What the settings did" not in build_report(tmp_path).read_text()


def test_settings_that_only_some_trials_have_or_that_never_vary_are_left_out():
    rows = [{"values": {"a": 1, "b": 2, "c": True}}, {"values": {"a": 1, "b": 3}}]
    assert varied(rows) == ["b"]
    assert varied(rows[:1]) == []


def test_values_over_decades_have_a_logarithmic_axis_and_names_are_spread_evenly():
    assert column("x", [0.001, 0.01, 0.1]).places == pytest.approx([0, 0.5, 1])
    assert column("x", [1.0, 1.5, 2.0]).places == pytest.approx([0, 0.5, 1])
    assert column("x", ["none", "batch", "none"]).places == [0, 1, 0]
    upsampler = column("generator.upsampler", ["pixel_shuffle", "nearest_conv"])
    assert upsampler.labels == [(0.0, "nearest"), (1.0, "shuffle")], "the words of a design's name"
    assert column("loss.adversarial_weight", [0.1, 0.2]).name == "adv", "adversarial is the kind of loss"
    assert column("generator.num_blocks", [16, 4, 8]).labels == [(0.0, "4"), (0.5, "8"), (1.0, "16")]
