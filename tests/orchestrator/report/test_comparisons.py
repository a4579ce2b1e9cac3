"""Verdicts against the pick and its references need enough seeds and images."""

import json
import re

import pytest
from helpers.fake_sweep import fake_sweep, ship_psnr_network
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.comparisons import (
    compare_designs,
    compared_to_ship,
    compared_with_references,
    comparisons_tables,
    second_opinions,
)
from orchestrator.report.data import read
from orchestrator.report.sentences import headline, why


def test_designs_differ_from_the_pick_only_with_enough_seeds(tmp_path):
    fake_sweep(tmp_path, seeds=2)
    metric, words = compare_designs(read(tmp_path))
    assert metric == "swd", "the metric that chose, though it has no value per image"
    assert words["b8 bn transposed adv=0.01"].startswith("too few seeds for a verdict (+")
    fake_sweep(tmp_path, seeds=5)
    words = compare_designs(read(tmp_path))[1]
    assert words["b8 bn transposed adv=0.01"].startswith("loses to (+")
    assert "against the pick, swd" in Page(build_report(tmp_path)).text


@pytest.mark.parametrize(
    "seeds, shift, least, why",
    [
        (5, 0.0, "1.24", "1.98 ×10⁻³ would be seen with power 0.8"),
        (4, 0.0, "1.59", "fewer than 5 seeds decide nothing"),
        (5, 1.3, "2.54", "no clear difference among 2 comparisons"),  # p 0.04, twice that by Holm
    ],
)
def test_what_is_not_separable_says_how_far_apart_it_can_be_and_why(tmp_path, seeds, shift, least, why):
    """Five differences of a standard deviation of 1 have an interval of +-2.776 / sqrt(5) = 1.24. Of two arms
    (3.495 + 0.941) / sqrt(5) = 1.98 would be seen, of one (2.776 + 0.941) / sqrt(5) = 1.66."""
    _, rows = fake_sweep(tmp_path, seeds=seeds)
    apart = {5: [-1.2649, -0.6325, 0.0, 0.6325, 1.2649], 4: [-1.1619, -0.3873, 0.3873, 1.1619]}[seeds]
    for row in (r for r in rows if r["stage"] == "test"):
        difference = apart[row["seed"]]
        row["metrics"] |= {
            "swd": 30.0,
            "warm/swd": 30.0 - shift - difference,
            "bicubic/swd": 30.0 - difference,
        }
        row["metrics"]["swd"] += difference if row["of"].startswith("confirm-1") else 0.0
    kept = [r for r in rows if not r["trial_id"].startswith(("test-2", "confirm-2"))]
    (tmp_path / "leaderboard.json").write_text(json.dumps(kept))
    told = compared_with_references(read(tmp_path))
    word = next(c.word for c in told if (c.name, c.metric) == ("warm", "swd"))
    assert word == f"not separable (at most {least} ×10⁻³ apart, at 95 %; {why})"
    if why.startswith("1.98"):
        of_one = compare_designs(read(tmp_path))[1]["b8 bn transposed adv=0.01"]
        assert "[-1.24, +1.24]: at most 1.24 ×10⁻³ apart, at 95 %; 1.66 ×10⁻³ would be seen" in of_one


def test_a_seed_that_one_design_lacks_is_left_out_of_both(tmp_path):
    _, rows = fake_sweep(tmp_path, seeds=6)
    lost = ("confirm-1-s0", "test-1-s0")
    (tmp_path / "leaderboard.json").write_text(json.dumps([r for r in rows if r["trial_id"] not in lost]))
    assert compare_designs(read(tmp_path))[1]["b8 bn transposed adv=0.01"].startswith("loses to (+")


def test_the_pick_beats_its_references_only_with_five_seeds(tmp_path):
    fake_sweep(tmp_path)
    few = compared_with_references(read(tmp_path))[0]
    assert (few.against, few.metric, few.word, few.interval) == (
        "bicubic",
        "swd",
        "too few seeds for a verdict",
        "",
    )
    assert few.difference < 0
    assert headline(read(tmp_path)).endswith(": the best on val, an estimate from 2 seeds.")
    fake_sweep(tmp_path, seeds=4)
    words = [c.word for c in compared_with_references(read(tmp_path)) if c.against == "bicubic"]
    assert words == ["better, an estimate from fewer than 5 seeds"] * 2, "though the intervals exclude 0"
    _, rows = fake_sweep(tmp_path, seeds=5)
    swd, psnr = (c for c in compared_with_references(read(tmp_path)) if c.against == "its warm start")
    assert (swd.metric, swd.word, psnr.metric, psnr.word) == ("swd", "better", "psnr_y", "worse")
    assert headline(read(tmp_path)) == "Use the GAN b4 bn shuffle adv=0.1: it beats its warm start on test."
    page = Page(build_report(tmp_path)).text
    assert "psnr_y, higher is better" in page and f"{psnr.difference:+.2g} {psnr.interval} dB" in page
    assert "to ship" not in comparisons_tables(read(tmp_path)), "it has no such comparison"
    rows = [row for row in rows if row["stage"] != "test"]
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert comparisons_tables(read(tmp_path)) == ""


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
        "its warm start, sharpened (strength 0.5)": ("swd", "[–, +2]", "not separable", False),
        "its warm start with added noise (4 of 255 grey levels)": ("swd", "[+1, +5]", "worse", False),
        "the PSNR network of equal cost": ("swd", "[-4, -2]", "better", True),
        "its warm start, pattern of the upsampling grid": (
            "grid_detail",
            "",
            "above the limit of 0.05",
            False,
        ),
    }
    page = Page(build_report(tmp_path)).text
    assert "to ship" in page and "+3 [+1, +5] ×10⁻³" in page
    captions = [f"{of} of b4 bn shuffle adv=0.1, on 31" for of in ("ships: seed 1", "Mean over 2 seeds")]
    assert page.index(captions[0]) < page.index(captions[1])


def test_a_second_opinion_is_told_and_decides_nothing(tmp_path):
    _, rows = fake_sweep(tmp_path)
    opinions = {"warm": {"metric": "dists", "interval": [-0.02, -0.03, -0.01], "beaten": True}}
    opinions["longer"] = {"metric": "dists", "interval": [0.02, 0.01, 0.03], "beaten": False}
    for row in rows:
        if row["stage"] == "test":
            row |= {"sentinels": {"longer": {"interval": [-3.0, -4.0, -2.0], "beaten": True}}}
            row |= {"second_opinion": opinions}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    told = [(c.against, c.metric, c.word, c.passed) for c in second_opinions(read(tmp_path))]
    longer = "the PSNR network of equal cost"
    assert told == [("its warm start", "dists", "better", None), (longer, "dists", "worse", None)]
    assert why(read(tmp_path)).endswith(
        f" But dists, the second opinion, contradicts: it is worse than {longer}."
    )
    assert "decides nothing" in comparisons_tables(read(tmp_path))
    assert "passes 1 of 1 comparison to ship" in Page(build_report(tmp_path)).text
    del opinions["longer"]
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert why(read(tmp_path)).endswith(" By dists, the second opinion, it is better than its warm start.")


def test_differences_of_one_network_and_of_means_are_apart_and_no_verdict_contradicts_a_count(tmp_path):
    """One table had both; above it "2 of 2 beat bicubic", in it "not enough evidence" against bicubic."""
    sweep, rows = fake_sweep(tmp_path)
    ship_psnr_network(tmp_path, sweep, rows)
    drawn = comparisons_tables(read(tmp_path))
    one, mean = drawn.split("</table>")[:2]
    assert "The best GAN, which does not ship: seed 1 of b4 bn shuffle adv=0.1, on 31 test images" in one
    assert "to ship" in one and "bicubic" not in one and "to ship" not in mean
    cells = re.findall("<td.*?>(.*?)</td>", mean)[:3]
    assert cells == ["bicubic", "too few seeds for a verdict", "2 of 2"]
    text = Page(build_report(tmp_path)).text
    assert text.count("Of the best GAN, which does not ship") == 1
    assert "beat " not in text and "not enough evidence" not in text
    assert "✗ seed 1 passes 0 of 1 comparison to ship" in text


def test_the_psnr_network_of_equal_cost_has_its_name_in_every_table(tmp_path):
    """Comparisons called it a longer phase of equal cost, the table of means by its name."""
    sweep, rows = fake_sweep(tmp_path, seeds=3)
    for row in rows:
        row["metrics"] |= {"longer/swd": 44.1, "longer/psnr_y": 27.1} if row["stage"] == "test" else {}
    ship_psnr_network(tmp_path, sweep, rows)
    for row in rows:
        if row["stage"] == "test":
            row["sentinels"] = {"longer": {"strength": None, "interval": [1, 0.5, 2], "beaten": False}}
    rows[-1]["metrics"] |= {"swd": 44.1, "psnr_y": 27.1}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert compared_to_ship(read(tmp_path))[0].against == "PSNR network b4 shuffle, 240 steps"
    assert "of equal cost" not in Page(build_report(tmp_path)).text
    assert why(read(tmp_path)).endswith(
        "No GAN was good enough: by swd the best one is worse than the PSNR network b4 shuffle, 240 steps, "
        "which cost as much to train. So psnr_y decides, among PSNR networks that trained as long as GANs."
    )
