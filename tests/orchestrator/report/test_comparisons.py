"""Verdicts against the pick and its references need enough seeds and images."""

import json
import re

from helpers.fake_sweep import fake_sweep
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.comparisons import compare_designs, compare_with_references
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
    few = compare_with_references(read(tmp_path))
    assert re.match(r"On test, over seeds and images: swd against bicubic: not enough evidence \(-", few)
    assert headline(read(tmp_path)).startswith("Adversarial weight 0.1 was picked on val; on test its swd ")
    _, rows = fake_sweep(tmp_path, seeds=5)
    told = compare_with_references(read(tmp_path))
    assert "swd against its warm start: beats (-" in told
    assert "psnr_y against its warm start: loses to (-0.01 [" in told
    assert headline(read(tmp_path)).startswith("Adversarial weight 0.1 beats its warm start on test: swd ")
    assert told in Page(build_report(tmp_path)).text
    rows = [row for row in rows if row["stage"] != "test"]
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert compare_with_references(read(tmp_path)) == ""
