"""Every run has a row, with a cost if the sweep has a price."""

import json
import re

from helpers.fake_sweep import fake_sweep, ship_psnr_network
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.data import read
from orchestrator.report.tables import designs_table, opinions_section, runs_table, stages_table

STUDY = {
    "study": "a<b",
    "head": ["model", "mean opinion score"],
    "panels": [{"title": "all raters: 3 raters, 5 images", "rows": [["ours", "4.00"]]}],
    "notes": ["0 of 3 raters flagged."],
}


def test_every_run_has_a_row_and_diverged_numbers_are_not_shown(tmp_path):
    _, rows = fake_sweep(tmp_path)
    page = Page(build_report(tmp_path))
    assert {r["trial_id"] for r in rows} <= set(page.ids)
    assert "72 s CPU" in page.text, "not 0.020 CPU"
    assert "diverged: adversarial at step 33" in page.text and "300" not in page.text.split()


def test_a_price_gives_every_run_and_the_sweep_a_cost(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    assert "cost" not in Page(build_report(tmp_path)).text.split()
    for r in rows:
        r |= {"gpu_hours": 0.5, "cost": 1.25}
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"gpu_hours": 12.5, "cost": 31.25}))
    text = Page(build_report(tmp_path)).text
    assert "cost 31.25 for 12.50 GPU-hours" in text and text.split().count("1.25") == len(rows)


def test_the_table_says_whose_warm_start_it_is_and_which_network_ships(tmp_path):
    """A warm start "of the first" stood below a network that has none, and rows lacked cells."""
    sweep, rows = fake_sweep(tmp_path)
    for r in rows:
        if r["stage"] in ("warm", "test"):
            r["metrics"] |= {"longer/swd": 44.0, "longer/psnr_y": 27.5, "noisy/swd": 31.0}
        if r["stage"] in ("warm", "confirm"):
            r["inference"] = {"ms": 12.5, "memory_mb": 21.0, "px": 256, "device": "a card"}
    ship_psnr_network(tmp_path, sweep, rows)
    drawn = designs_table(read(tmp_path))
    lines = [re.findall("<t[dh]>(.*?)</t[dh]>", line) for line in re.findall("<tr>(.*?)</tr>", drawn)]
    assert len({len(line) for line in lines}) == 1, "every row has every cell"
    names = [line[0] for line in lines]
    assert names[1] == "PSNR network b4 shuffle, 240 steps – ships"
    assert lines[1][-3:-1] == ["12.5", "21"], "those of the run that trained it"
    assert names[5:] == [
        "the best GAN&#x27;s warm start",
        "the best GAN&#x27;s warm start with added noise",
        "bicubic",
    ]
    assert lines[0][-1] == "against the best GAN, swd"
    assert re.findall('<tr id="([^"]*)"[^>]*class="picked"', runs_table(read(tmp_path))) == ["psnr-1"]
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"gan_pick": None, "unbeaten": []}))
    assert "of equal cost" not in designs_table(read(tmp_path)), "no GAN was feasible, and that network ships"


def test_a_run_has_its_whole_id_at_hand_and_its_steps_are_said_once(tmp_path):
    """Ids were cut to eight letters without the rest, and every row said "240 of 240"."""
    fake_sweep(tmp_path)
    drawn = runs_table(read(tmp_path))
    assert '<span title="0123456789abcdef">01234567</span>' in drawn
    assert '<summary title="0123456789abcdef">01234567</summary>' in drawn
    assert "240 of 240" not in drawn and ">60 of 240<" in drawn and ">ms<" not in drawn


def test_each_study_of_the_sweep_is_one_block(tmp_path):
    fake_sweep(tmp_path)
    assert opinions_section(read(tmp_path)) == ""
    (tmp_path / "ratings").mkdir()
    for name in ("one", "two"):
        (tmp_path / f"ratings/{name}.json").write_text(json.dumps(STUDY | {"study": f"{name} a<b"}))
    section = opinions_section(read(tmp_path))
    assert section.index("<h3>one a&lt;b</h3>") < section.index("<h3>two a&lt;b</h3>")
    assert "<tr><td>ours</td><td>4.00</td></tr>" in section
    assert "<li>0 of 3 raters flagged.</li>" in section


def test_what_a_design_promised_stands_beside_what_it_kept(tmp_path):
    _, rows = fake_sweep(tmp_path)
    pick = next(r for r in rows if r["trial_id"] == "confirm-0-s0")
    chosen = next(r for r in rows if r["trial_id"] == "screen-0")
    chosen |= {"values": {"loss.adversarial_weight": 0.1}, "steps": 240}
    chosen["metrics"] |= {"swd": 21.0}
    repeats = [chosen | {"stage": "repeat", "trial_id": f"r{n}"} for n in (1, 2)]
    for n, repeat in enumerate(repeats):
        repeat |= {"metrics": chosen["metrics"] | {"swd": 25.0 + 2 * n}, "max_steps": 100 + n}
    for r in rows:
        if r["stage"] == "test":
            r["metrics"] |= {"bicubic/swd": 60.0, "swd": 33.0}
        if r["stage"] == "confirm":
            r |= {"max_steps": 480}
            r["metrics"]["swd"] = 27.0 + r["seed"]
    network = next(r for r in rows if r["stage"] == "test") | {"val": {}, "trial_id": "psnr"}
    rows.append(network | {"metrics": network["metrics"] | {"swd": 900.0}})
    (tmp_path / "leaderboard.json").write_text(json.dumps([*rows, *repeats]))
    drawn = stages_table(read(tmp_path))
    lines = [re.findall("<t[dh]>(.*?)</t[dh]>", line) for line in re.findall("<tr>(.*?)</tr>", drawn)]
    assert lines[0] == ["design", "screened, 240 steps", "repeated", "confirmed, 480 steps", "on test"]
    assert lines[1] == [f"{pick['design']} – the pick", "21.0 (1)", "26.0 (2)", "27.5 (2)", "33.0 (2)"]
    assert lines[2][1:3] == ["–", "–"], "a design that no run of these stages has"
    assert lines[-1] == ["bicubic", "50.0", "50.0", "50.0", "60.0"]


def test_a_sweep_without_screening_has_no_such_table(tmp_path):
    _, rows = fake_sweep(tmp_path)
    kept = [r for r in rows if r["stage"] in ("confirm", "test")]
    (tmp_path / "leaderboard.json").write_text(json.dumps(kept))
    assert stages_table(read(tmp_path)) == ""
