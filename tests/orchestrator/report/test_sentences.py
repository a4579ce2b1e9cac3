"""Sentences state the answer, how sure it is, and the checkpoint that ships."""

import json

from helpers.fake_sweep import fake_sweep, ship_psnr_network
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.data import read
from orchestrator.report.page import render_unfinished
from orchestrator.report.sentences import (
    best_gan,
    checkpoint_choice,
    cost,
    duration,
    headline,
    is_claim,
    moment,
    outcomes,
    rival,
    share,
    too_slow,
    tooltip,
    trust,
    why,
)


def test_the_time_of_a_sweep_with_hours_is_that_of_all_its_commands(tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    assert "from start to end" in cost(read(tmp_path))
    sweep |= {"hours": {"asked": 0.5, "seconds": 1710.0}}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert cost(read(tmp_path)).endswith("28 min of the 30 minutes of --hours.")


def test_a_headline_is_no_stronger_than_its_evidence(tmp_path):
    """Two seeds picked it on val; five seeds whose every image gains are a claim; a better rival is named."""
    for seeds, said in ((2, "the best on val, an"), (5, "it beats its warm start on test.")):
        _, rows = fake_sweep(tmp_path, seeds=seeds)
        for row in rows:
            if row["stage"] == "test":
                gains = [30 + k / 10 + row["seed"] / 100 for k in range(31)]
                row["per_image"] |= {"swd": gains, "warm/swd": [g + 9 + k / 50 for k, g in enumerate(gains)]}
                row["per_image"] |= {"bicubic/swd": [g + 15 for g in gains]}
        (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
        results = read(tmp_path)
        assert f"Use the GAN b4 bn shuffle adv=0.1: {said}" in headline(results)
        assert why(results).startswith("It has adversarial weight 0.1. Its swd on test is 3")
        assert ("an estimate from" in headline(results)) == (seeds == 2) == (not is_claim(results))
        assert [there for there, _ in trust(results)][:3] == [seeds == 5, True, seeds == 5]
    assert rival(results) == ""
    better = next(r for r in rows if r["trial_id"] == "test-2-s0")
    better["metrics"]["swd"] = 0.0
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert rival(read(tmp_path)).startswith("On test b4 no-bn has the better swd, 2")


def test_a_fine_tune_is_judged_against_the_file_it_started_from(tmp_path):
    """The fine-tunes of five seeds gain on every image, lose on every image, or differ by noise around 0."""
    file = "the file you started from (4x_mine.pth)"
    own = "our fine-tune b4 bn shuffle adv=0.1"
    for gain, said in (
        (9.0, f"Use y{own}: it beats {file} on test."),
        (-9.0, f"Y{own} was the best on val, but loses to {file} on test."),
        (0.0, f"Y{own} was the best on val, but is not separable from {file} on test."),
    ):
        sweep, rows = fake_sweep(tmp_path, seeds=5)
        sweep |= {"start": {"source": "4x_mine.pth", "key": "ab", "licence": "MIT"}}
        sweep["request"] = {"config": {"run.psnr_steps": 0, "run.start_from": "start", "run.gan_steps": 240}}
        for row in rows:
            if row["stage"] == "test":
                values = [30 + (-1) ** (k + row["seed"]) for k in range(30)]
                row["per_image"] |= {"swd": values, "warm/swd": [30 + gain] * 30, "bicubic/swd": [50] * 30}
        for name, content in (("sweep", sweep), ("leaderboard", rows)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        results = read(tmp_path)
        assert headline(results) == said
        assert (is_claim(results), results.opponent[1]) == (gain > 0, file)
    unbeaten = {"unbeaten": ["sharpened"], "pick_reason": "b4 is no better than an unsharp mask"}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | unbeaten))
    assert headline(read(tmp_path)) == f"Keep {file}."
    assert why(read(tmp_path)) == "No GAN was good enough: b4 is no better than an unsharp mask."


def test_architectures_that_a_limit_of_latency_left_out_are_named(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    fast, slow = (
        {"design": {"generator.kind": kind}, "ms": ms, "memory_mb": 40.8, "px": 256, "device": "a card"}
        for kind, ms in (("compact", 57.25), ("swinir", 1020.4))
    )
    sweep |= {"inference": [fast, slow], "request": {"config": {"objective.max_ms": 700.0}}}
    for name, content in (("sweep", sweep), ("leaderboard", [r | {"inference": fast} for r in rows])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    said = "Left out, more than 700 ms for 256 px a side on a card: 1 of 2 architectures, "
    said += "swinir (1,020 ms)."
    page = Page(build_report(tmp_path))
    assert too_slow(read(tmp_path)) == said and said in page.text
    assert said in render_unfinished(read(tmp_path), "Running: screen")
    sweep["request"]["config"]["objective.max_ms"] = 0.0
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert too_slow(read(tmp_path)) == ""


def test_a_shipped_checkpoint_that_is_not_the_last_one_is_named(tmp_path):
    _, rows = fake_sweep(tmp_path)
    picked = next(r for r in rows if r["trial_id"] == "confirm-0-s1")
    picked |= {"chosen_step": 180, "last": {"step": 240, "psnr_y": 25.0, "swd": 33.25}}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    told = checkpoint_choice(read(tmp_path))
    assert told.startswith("Of the GAN picked on val, the checkpoint at step 180 of 240 counts (swd ")
    assert told.endswith("the last: swd 33.2, psnr_y 25.00.")
    assert told in Page(build_report(tmp_path)).text


def test_a_sweep_without_a_pick_or_without_rows_recommends_nothing(tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    sweep |= {"pick": None, "front": [], "pick_reason": "no confirmed design reaches the floor of 24.90 dB"}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert headline(read(tmp_path)).startswith(
        "No model is recommended: no confirmed design reaches the floor"
    )
    build_report(tmp_path)
    (tmp_path / "leaderboard.json").unlink()
    for key in ("pick", "pick_reason", "front", "cpu_hours", "gpu_hours"):
        sweep.pop(key, None)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"status": "running", "ended": None}))
    assert "No model is recommended: the sweep is running." in Page(build_report(tmp_path)).text


def test_a_fidelity_sweep_knows_no_warm_start_and_no_gan(tmp_path):
    """Bicubic stands in the rows in a warm start's place; a reader sees it once, under its own name."""
    sweep, _ = fake_sweep(tmp_path)
    sweep["request"] = {"config": {"run.psnr_steps": 240, "run.gan_steps": 0, "run.start_from": ""}}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    results = read(tmp_path)
    assert results.is_fidelity and "warm start" not in headline(results)
    text = Page(build_report(tmp_path)).text
    assert "psnr_y against swd" in text and "GAN" not in text and "warm starts trained" not in text
    assert "bicubic is the input" not in text
    sweep["request"]["config"]["generator.scale"] = 1
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert "At scale 1, bicubic is the input itself." in Page(build_report(tmp_path)).text


def test_a_gan_that_is_no_better_than_an_unsharp_mask_is_told_first(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    found = {"sharpened": {"strength": 0.5, "interval": [1.25, None, 2.0], "beaten": False}}
    found["longer"] = {"strength": None, "interval": [-3.0, -4.0, -2.0], "beaten": True}
    for row in rows:
        if row["stage"] == "test":
            row |= {"sentinels": found}
            row["metrics"] |= {"sharpened/swd": 28.0, "longer/swd": 44.0}
    reason = "b4 is no better than its warm start with an unsharp mask; so the PSNR network ships"
    sweep |= {"gan_pick": sweep["pick"], "pick": "psnr-1", "unbeaten": ["sharpened"], "pick_reason": reason}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    results = read(tmp_path)
    assert headline(results) == "No network is good enough."
    assert why(results) == (
        "No GAN was good enough: swd cannot tell the best one from the PSNR network that it began with plus "
        "sharpening, which restores nothing."
    )
    assert [text for _, text in trust(results)] == [
        "2 seeds of 5",
        "31 test images of at least 30",
        "against its warm start: too few seeds for a verdict",
        "seed 1 passes 1 of 2 comparisons to ship",
    ]
    assert "the best GAN's warm start, sharpened" in Page(build_report(tmp_path)).text


def test_the_psnr_network_that_ships_is_what_the_report_shows_first(tmp_path):
    """The tiles, the picture and the row called the pick were those of the GAN that does not ship."""
    sweep, rows = fake_sweep(tmp_path)
    ship_psnr_network(tmp_path, sweep, rows)
    results = read(tmp_path)
    assert headline(results) == "Use the PSNR network b4 shuffle, 240 steps."
    assert why(results) == (
        "Its psnr_y is 2.60 dB [+1.29, +1.29] better than that of bicubic on 31 test images, an estimate "
        "from 1 seed. No GAN was good enough: swd cannot "
        "tell the best one from the PSNR network that it began with plus sharpening, which restores "
        "nothing. So psnr_y decides, among PSNR networks that trained as long as GANs."
    )
    assert best_gan(results) == (
        "The comparisons below are of the best GAN, b4 bn shuffle adv=0.1 (adversarial weight 0.1), which "
        "does not ship."
    )
    assert results.shipped.values("warm/swd") == [], "it has no warm start"
    page = Page(build_report(tmp_path)).text
    assert "PSNR network b4 shuffle, 240 steps – ships" in page and "the pick" not in page
    assert "b4 bn shuffle adv=0.1 – the best GAN, which does not ship" in page
    assert page.index("44") < page.index("of CPU time in training and test"), "the tile"
    sweep |= {"gan_pick": None, "unbeaten": [], "pick_reason": "no confirmed design is feasible"}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    none = read(tmp_path)
    assert headline(none) == "Use the PSNR network b4 shuffle, 240 steps."
    assert "No GAN was good enough: none could be chosen on val. So psnr_y decides" in why(none)
    assert best_gan(none) == "No confirmed design is feasible."
    fake_sweep(tmp_path)
    assert read(tmp_path).shipped is None and best_gan(read(tmp_path)) == ""


def test_outcomes_that_differ_by_a_number_are_one_group(tmp_path):
    fake_sweep(tmp_path)
    groups = dict(outcomes(read(tmp_path)))
    assert len(groups["diverged: adversarial at step …"]) == 1
    assert len(groups["screened out at step … of …"]) > 1


def test_numbers_and_times_read_as_words():
    assert (share(0.38), share(-0.05), share(0.0022)) == ("38% better", "5% worse", "0.2% better")
    assert (duration(12.4), duration(430), duration(12_240)) == ("12 s", "7 min", "3.4 h")
    assert moment(1_763_700_000.0) == "2025-11-21 04:40 UTC" and moment(None) == ""


def test_a_tooltip_is_a_title_and_both_metrics(tmp_path):
    fake_sweep(tmp_path)
    assert tooltip(read(tmp_path), "b4", (30.04, 25.0)) == "b4\nswd 30.0\npsnr_y 25.00"


def test_runs_whose_other_checkpoint_counts_are_grouped_with_those_whose_last_does(tmp_path):
    _, rows = fake_sweep(tmp_path)
    row = next(r for r in rows if r["stage"] == "confirm")
    row |= {"chosen_step": 180, "verdict": row["verdict"] + "; its checkpoint at step 180 counts"}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    assert not any("counts" in words for words, _ in outcomes(read(tmp_path)))


def test_gans_that_trained_too_shortly_are_no_verdict_on_gans(tmp_path):
    """ "No GAN was good enough" led a page whose own advice, one training, gave a better GAN in minutes."""
    sweep, rows = fake_sweep(tmp_path)
    ship_psnr_network(tmp_path, sweep, rows)
    assert "say little" not in why(read(tmp_path))
    sizes = {"warm": {"gan_steps": 90}, "confirm": {"gan_steps": 83}}
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    sweep["hours"] = {
        "asked": 0.1,
        "seconds": 330.0,
        "sizes": sizes,
        "one": "train one",
        "one_command": "train",
    }
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    assert " GANs of 83 steps do not tell what a GAN can do here: the advice below" in why(read(tmp_path))
