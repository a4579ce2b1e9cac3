"""Verdicts against the pick and its references need enough seeds and images."""

import json
import re

from helpers.fake_sweep import fake_sweep
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.comparisons import compare_by_image, compare_designs
from orchestrator.report.data import read


def test_designs_differ_from_the_pick_only_with_enough_seeds(tmp_path):
    fake_sweep(tmp_path, seeds=2)
    metric, words = compare_designs(read(tmp_path))
    assert metric == "psnr_y"
    assert words["b8 bn transposed adv=0.01"].startswith("not enough evidence (+0.")
    fake_sweep(tmp_path, seeds=5)
    words = compare_designs(read(tmp_path))[1]
    assert words["b8 bn transposed adv=0.01"].startswith("beats (+0.")
    assert words["b4 no-bn"].startswith("loses to (-0.")
    assert "against the pick, psnr_y" in Page(build_report(tmp_path)).text


def test_the_pick_is_compared_with_its_references_image_by_image(tmp_path):
    _, rows = fake_sweep(tmp_path)
    told = compare_by_image(read(tmp_path))
    assert re.match(r"By test image: psnr_y against bicubic: beats \(\+1\.\d+ \[\+1\.", told)
    assert "psnr_y against its warm start: loses to (-0.01 [" in told
    assert told in Page(build_report(tmp_path)).text
    for row in rows:
        row.pop("per_image", None)
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert compare_by_image(read(tmp_path)) == ""
