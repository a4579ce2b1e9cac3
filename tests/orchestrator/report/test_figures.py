"""Figures leave out pictures that cannot be read."""

import json
import re

from helpers.fake_sweep import fake_strip, fake_sweep, ship_psnr_network
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.data import read
from orchestrator.report.figures import curves_section, pictures, plane_section


def test_strips_that_are_damaged_or_not_pictures_are_left_out(tmp_path):
    _, rows = fake_sweep(tmp_path)
    for r in rows:
        r["strip"] = "sweep.json"
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    cut = tmp_path / "trials" / "confirm-0-s1" / "strip.png"
    fake_strip(cut)
    cut.write_bytes(cut.read_bytes()[:300])
    assert "img" not in Page(build_report(tmp_path)).tags


def test_the_pick_is_drawn_on_top_with_its_spread_over_seeds(tmp_path):
    fake_sweep(tmp_path)
    drawn = plane_section(read(tmp_path))
    looks = re.findall(r'class="mark (\w+)"', drawn)
    assert looks[-1] == "pick" and looks.count("design") == 2 and looks.count("seed") == 6
    assert looks.count("bicubic") == 1 and drawn.count('class="whisker') == 3
    assert "Better is up and to the left" in drawn


def test_a_psnr_network_that_ships_is_drawn_and_the_gan_is_not_called_the_pick(tmp_path):
    """The GAN was the red mark called the pick, and what ships was not in the figures."""
    ship_psnr_network(tmp_path, *fake_sweep(tmp_path))
    drawn, lines = plane_section(read(tmp_path)), curves_section(read(tmp_path))
    looks = re.findall(r'class="mark (\w+)"', drawn)
    assert looks[-2:] == ["best", "pick"] and looks.count("best") == looks.count("pick") == 1
    assert "which ships\nswd 42.0\npsnr_y 27.00" in drawn and 'data-id="psnr-1"' in drawn
    assert "<i></i>ships<" in drawn and "<i></i>best GAN<" in drawn and "the pick" not in drawn + lines
    assert lines.count(">ships</text>") == 2 and re.findall(r'<g class="line (\w+)"', lines)[-1] == "best"
    assert "<i></i>best GAN<" in lines and "pick" not in lines


def test_the_caption_names_the_line_only_where_one_is_drawn(tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    assert "The line joins designs" in plane_section(read(tmp_path))
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"front": ["confirm-0-s0", "confirm-0-s1"]}))
    alone = plane_section(read(tmp_path))
    assert "The line joins" not in alone and 'class="front"' not in alone


def test_a_legend_names_what_its_figure_shows_and_no_more(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    whole = ["pick", "design", "seed", "screened", "stopped", "warm", "bicubic"]
    assert re.findall(r'<li class="(\w+)">', plane_section(read(tmp_path))) == whole
    assert "Dashed verticals: rungs" in curves_section(read(tmp_path))
    rows = [row for row in rows if row["stage"] == "screen" and row["rung"] is None]
    started = sweep | {"pick": None, "start": {"source": "4x_mine.pth"}}
    for name, content in (("leaderboard", rows), ("sweep", started)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    few = plane_section(read(tmp_path))
    assert re.findall(r'<li class="(\w+)">', few) == ["screened", "warm", "bicubic"]
    assert "the file you started from (4x_mine.pth)" in few
    assert "rungs" not in curves_section(read(tmp_path))


def test_every_mark_of_a_run_names_its_row_and_references_name_none(tmp_path):
    _, rows = fake_sweep(tmp_path)
    marks = re.findall(r'class="mark (\w+)"[^>]*data-id="([^"]*)"', plane_section(read(tmp_path)))
    ids = {row["trial_id"] for row in rows}
    assert all((row in ids) == (look not in ("warm", "bicubic")) for look, row in marks)
    assert {row for look, row in marks if look in ("warm", "bicubic")} == {""}


def test_the_picks_test_pictures_come_first_with_a_caption_for_each_row(tmp_path):
    _, rows = fake_sweep(tmp_path)
    tested = next(r for r in rows if r.get("of") == "confirm-0-s1")
    tested["captions"] = ["best gain of 31: a", "median gain of 31: b", "worst gain of 31: <c>"]
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    for trial in ("test-0-s1", "confirm-0-s1", "confirm-1-s0"):
        fake_strip(tmp_path / "trials" / trial / "strip.png", rows=3)
    captions = re.findall("<figcaption>(.*?)</figcaption>", pictures(read(tmp_path)))
    assert "· test · seed 1" in captions[0] and len(captions) == 2
    assert captions[0].count("<li>") == 3 and "worst gain of 31: &lt;c&gt;" in captions[0]


def test_curves_are_one_per_trial_with_rungs_and_the_level_of_bicubic(tmp_path):
    _, rows = fake_sweep(tmp_path)
    drawn = curves_section(read(tmp_path))
    trials = [r for r in rows if r["stage"] in ("screen", "confirm") and not r["diverged"]]
    assert drawn.count('<g class="line') == 2 * len(trials)
    assert drawn.count('class="rung"') == 2 * 2 and drawn.count(">bicubic</text>") == 2
    assert re.findall(r'<g class="line (\w+)"', drawn)[-1] == "pick"


def test_pictures_begin_with_the_pick_and_show_each_design_once(tmp_path):
    fake_sweep(tmp_path)
    for trial in ("confirm-0-s0", "confirm-0-s1", "confirm-1-s0"):
        fake_strip(tmp_path / "trials" / trial / "strip.png")
    captions = re.findall("<figcaption>(.*?)</figcaption>", pictures(read(tmp_path)))
    assert [c.split(" · ")[0] for c in captions] == ["b4 bn shuffle adv=0.1", "b8 bn transposed adv=0.01"]
    assert "seed 1" in captions[0]


def test_pictures_of_a_gan_that_does_not_ship_are_called_so(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    for trial in ("psnr-1", "confirm-0-s1"):
        fake_strip(tmp_path / "trials" / trial / "strip.png")
    figure = '<figure class="strip"[^>]* data-subject="(.*?)"><figcaption>(.*?)</figcaption>'
    assert [subject for subject, _ in re.findall(figure, pictures(read(tmp_path)))] == ["ours"]
    ship_psnr_network(tmp_path, sweep, rows)
    shown = re.findall(figure, pictures(read(tmp_path)))
    assert [subject for subject, _ in shown] == ["ours", "GAN"]
    assert "PSNR network" in shown[0][1] and shown[1][1].endswith(" · does not ship")
