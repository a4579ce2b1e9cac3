"""Confirmed designs are grouped by their settings, not by their labels."""

import json

import pytest
from helpers.fake_sweep import fake_sweep

from orchestrator.report.data import Design, SweepResults, has_no_result, read


def test_designs_that_share_a_label_are_two_designs(tmp_path):
    _, rows = fake_sweep(tmp_path)
    for r in rows:
        if r["stage"] in ("confirm", "test"):
            r["design"] = "same"
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    designs = read(tmp_path).designs
    assert sorted(d.name for d in designs) == ["same", "same #2", "same #3"]
    assert [len(d.rows) for d in designs] == [2, 2, 2]


def test_means_are_over_seeds_on_test_and_missing_if_a_seed_lacks_the_metric():
    rows, tests = ([{"metrics": {"psnr_y": v}} for v in values] for values in ((20.0, 22.0), (30.0, 33.0)))
    assert Design("a", rows, tests, False, False).mean("psnr_y") == 31.5
    assert Design("a", rows, [], False, False).mean("psnr_y") == 21.0
    rows[0]["metrics"]["swd"] = 50.0
    assert Design("a", rows, [], False, False).mean("swd") is None


def test_gain_is_a_share_in_the_better_direction(tmp_path):
    def results(perceptual):
        return SweepResults(tmp_path, {}, [], "psnr_y", perceptual)

    rows = [{"metrics": {"swd": 40.0, "bicubic/swd": 50.0, "ssim_y": 0.6, "bicubic/ssim_y": 0.5}}]
    design = Design("a", rows, [], False, False)
    assert results("swd").gain(design, "bicubic") == pytest.approx(0.2)
    assert results("ssim_y").gain(design, "bicubic") == pytest.approx(0.2)
    assert results("swd").seeds_better(design, "bicubic", "swd") == 1
    assert results("swd").gain(design, "warm") is None


def test_placeholders_of_broken_trials_are_known_by_their_outcome():
    assert has_no_result({"verdict": "diverged: generator at step 3"})
    assert has_no_result({"verdict": "confirmed", "diverged": True})
    assert not has_no_result({"verdict": "confirmed", "diverged": False})
