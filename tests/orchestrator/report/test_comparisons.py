"""Verdicts against the pick and its references need enough seeds and images."""

import json

from helpers.fake_sweep import fake_sweep
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.comparisons import (
    compare_designs,
    compared_to_ship,
    compared_with_references,
    comparisons_table,
)
from orchestrator.report.data import read
from orchestrator.report.sentences import headline


def test_designs_differ_from_the_pick_only_with_enough_seeds(tmp_path):
    fake_sweep(tmp_path, seeds=2)
    metric, words = compare_designs(read(tmp_path))
    assert metric == "swd", "the metric that chose, though it has no value per image"
    assert words["b8 bn transposed adv=0.01"].startswith("not enough evidence (+")
    fake_sweep(tmp_path, seeds=5)
    words = compare_designs(read(tmp_path))[1]
    assert words["b8 bn transposed adv=0.01"].startswith("loses to (+")
    assert "against the pick, swd" in Page(build_report(tmp_path)).text


def test_a_seed_that_one_design_lacks_is_left_out_of_both(tmp_path):
    _, rows = fake_sweep(tmp_path, seeds=6)
    lost = ("confirm-1-s0", "test-1-s0")
    (tmp_path / "leaderboard.json").write_text(json.dumps([r for r in rows if r["trial_id"] not in lost]))
    assert compare_designs(read(tmp_path))[1]["b8 bn transposed adv=0.01"].startswith("loses to (+")


def test_the_pick_beats_its_references_only_with_five_seeds(tmp_path):
    fake_sweep(tmp_path)
    few = compared_with_references(read(tmp_path))[0]
    assert (few.against, few.metric, few.word, few.interval) == ("bicubic", "swd", "not enough evidence", "")
    assert few.difference < 0
    assert headline(read(tmp_path)).startswith("Adversarial weight 0.1 was picked on val; on test its swd ")
    fake_sweep(tmp_path, seeds=4)
    words = [c.word for c in compared_with_references(read(tmp_path)) if c.against == "bicubic"]
    assert words == ["better, an estimate from fewer than 5 seeds"] * 2, "though the intervals exclude 0"
    _, rows = fake_sweep(tmp_path, seeds=5)
    swd, psnr = (c for c in compared_with_references(read(tmp_path)) if c.against == "its warm start")
    assert (swd.metric, swd.word, psnr.metric, psnr.word) == ("swd", "better", "psnr_y", "worse")
    assert headline(read(tmp_path)).startswith("Adversarial weight 0.1 beats its warm start on test: swd ")
    page = Page(build_report(tmp_path)).text
    assert "psnr_y, higher is better" in page and f"{psnr.difference:+.2g} {psnr.interval} dB" in page
    assert "to ship" not in page.partition("Confirmed designs")[0], "it has no such comparison"
    rows = [row for row in rows if row["stage"] != "test"]
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert comparisons_table(read(tmp_path)) == ""


def test_what_a_gan_must_better_to_ship_is_better_worse_or_not_separable(tmp_path):
    _, rows = fake_sweep(tmp_path)
    found = {"sharpened": {"strength": 0.5, "interval": [1.25, None, 2.0], "beaten": False}}
    found["noisy"] = {"strength": 4.0, "interval": [3.0, 1.0, 5.0], "beaten": False}
    found["longer"] = {"strength": None, "interval": [-3.0, -4.0, -2.0], "beaten": True}
    found["grid"] = {"strength": None, "interval": [0.5, None, None], "beaten": False}
    for row in rows:
        if row["stage"] == "test":
            row |= {"sentinels": found}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    told = {c.against: (c.metric, c.interval, c.word, c.passed) for c in compared_to_ship(read(tmp_path))}
    assert told == {
        "its warm start with an unsharp mask of strength 0.5": ("swd", "[–, +2]", "not separable", False),
        "its warm start with noise of strength 4": ("swd", "[+1, +5]", "worse", False),
        "a longer PSNR phase of equal cost": ("swd", "[-4, -2]", "better", True),
        "its warm start in the pattern of the upsampling grid": (
            "grid_detail",
            "",
            "above the limit of 0.05",
            False,
        ),
    }
    page = Page(build_report(tmp_path)).text
    assert "to ship" in page and "+3 [+1, +5] ×10⁻³" in page
