"""The page gives the answer first, escapes everything, and needs no other file."""

import json
import re
from itertools import pairwise

import pytest
from helpers.fake_sweep import fake_strip, fake_sweep, ship_psnr_network
from helpers.report_page import Page

from orchestrator.report import build_report
from orchestrator.report.page import HERE


def test_the_answer_comes_first_with_gain_seeds_and_cost(tmp_path):
    fake_sweep(tmp_path)
    page = Page(build_report(tmp_path))
    assert "Use the GAN b4 bn shuffle adv=0.1: the best on val, an estimate from 2 seeds." in page.text
    assert re.search(
        r"Its swd on test is 3\d% better than bicubic and 3\d% better than its warm start\.", page.text
    )
    assert (
        "An estimate" in page.text
        and "✗ 2 seeds of 5" in page.text
        and "✓ 31 test images of at least 30" in page.text
    )
    assert "Mean over 2 seeds of b4 bn shuffle adv=0.1, on 31 test images" in page.text
    assert "15 trials screened" in page.text and "12 min from start to end" in page.text
    assert page.text.index("best on val") < page.text.index("Perception against distortion")


def test_every_figure_of_a_tile_has_its_unit(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    text = " ".join(Page(build_report(tmp_path)).text.split())
    assert re.search(r"swd \([\d.]+ to [\d.]+ ×10⁻³\), lower is better bicubic 50\.0 ×10⁻³, warm start", text)
    assert re.search(r"dB psnr_y \([\d.]+ to [\d.]+ dB\), higher is better bicubic 24\.90 dB", text)
    assert "24 min of CPU time in training and test" in text
    for row in rows:
        row["metrics"]["lpips_alex"] = 0.25
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    objective = sweep["objective"] | {"perceptual": "lpips_alex"}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"objective": objective}))
    text = Page(build_report(tmp_path)).text
    assert "lpips_alex (0.2500 to 0.2500), dimensionless, lower is better" in text


def test_the_page_needs_no_network_and_stays_small(tmp_path):
    fake_sweep(tmp_path)
    fake_strip(tmp_path / "trials" / "confirm-0-s1" / "strip.png")
    page = Page(build_report(tmp_path))
    assert page.addresses and all(address.startswith(("data:image/webp", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address[0] == "#"} <= set(page.ids), "the contents"
    assert page.size < 300_000
    assert page.tags.count("svg") == 3 + 4 + 1 and page.tags.count("img") == 1


POISON = (
    "<script>alert(1)</script>\n\"'><img src=x onerror=alert(2)> &amp; ]]> --> {{x}} \u202e" + "A" * 10_000
)


def test_poisoned_names_appear_as_text_only(tmp_path):
    sweep, rows = fake_sweep(tmp_path)
    clean = Page(build_report(tmp_path))
    for key in (
        "name",
        "recipe",
        "command",
        "hardware",
        "experiment",
        "tracking_uri",
        "commit",
        "pick_reason",
    ):
        sweep[key] = POISON
    sweep["data"] = {POISON: {"spec": POISON, "digest": POISON, "n": 1}}
    sweep["versions"] = {POISON: POISON}
    for r in rows:
        r |= {"verdict": POISON, "mlflow_run_id": POISON, "strip": POISON, "protocol": {POISON: POISON}}
        r["values"] = {POISON: POISON}
        r["design"] += POISON
        r["trial_id"] += POISON
        if "of" in r:
            r["of"] += POISON
    sweep["pick"] += POISON
    sweep["front"] = [identity + POISON for identity in sweep["front"]]
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    (tmp_path / "leaderboard.json").write_text(json.dumps(rows))
    page = Page(build_report(tmp_path))
    assert page.tags.count("script") == clean.tags.count("script") == 1
    assert "img" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_the_page_may_load_and_send_nothing(tmp_path):
    fake_sweep(tmp_path)
    policy = re.search(
        r'Content-Security-Policy" content="([^"]*)"', build_report(tmp_path).read_text()
    ).group(1)
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "'unsafe-eval'" not in policy


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_marks_stand_out_by_three_to_one_and_text_by_four_and_a_half(theme):
    rules = re.findall(r":root \{(.*?)\}", (HERE / "page.css").read_text(), re.S)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", rules))
    least = {"ink": 4.5, "soft": 4.5, "warm-text": 4.5, "pick": 3, "design": 3, "screened": 3, "stopped": 3}
    for name, ratio in (least | {"warm": 3, "bicubic": 3}).items():
        for ground in ("card", "paper"):
            low, high = sorted((luminance(colours[name]), luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= ratio, f"{name} on {ground}"


def test_the_answer_comes_before_the_pictures_and_these_before_the_plots(tmp_path):
    fake_sweep(tmp_path)
    fake_strip(tmp_path / "trials" / "confirm-0-s1" / "strip.png")
    text = build_report(tmp_path).read_text()
    places = [text.index(part) for part in ("<h1>", 'class="trust"', "<nav", 'id="pictures"', 'id="plane"')]
    assert all(a < b for a, b in pairwise(places))


@pytest.mark.parametrize(("images", "end"), [(2, "demo --gate FOLDER"), (30, "demo"), (None, "demo")])
def test_the_command_that_promotes_names_other_images_if_the_sweeps_own_are_too_few(images, end, tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"gate_images": images}))
    assert re.search(rf"upsweep promote {end}(?! --)", Page(build_report(tmp_path)).text)


def test_the_commands_beside_the_answer_name_a_storage_that_is_not_the_default(tmp_path):
    sweep, _ = fake_sweep(tmp_path)
    for storage, model, option in (
        ("./runs", "demo", ""),
        ("s3://b/x", "s3://b/x/demo", " --storage s3://b/x"),
    ):
        request = sweep.get("request", {}) | {"storage": storage}
        (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"request": request}))
        text = build_report(tmp_path).read_text()
        assert f">upsweep upscale PICTURE --model {model}\nupsweep promote demo{option}<" in text


ADVICE, COMMAND = "with this time, train one network: it gains more", "upsweep train --recipe demo"


@pytest.mark.parametrize("hours", [{"one": ADVICE, "one_command": COMMAND}, {"one": ""}, {}])
def test_the_advice_to_train_one_network_is_in_the_report_with_a_command_to_copy(hours, tmp_path):
    """The terminal alone gave it, where it was gone with the window."""
    sweep, _ = fake_sweep(tmp_path)
    sweep |= {"hours": {"asked": 0.5, "seconds": 1710.0, **hours}}
    (tmp_path / "sweep.json").write_text(json.dumps(sweep))
    text = build_report(tmp_path).read_text()
    block = f'<p>With{ADVICE[4:]}.</p><div class="copy"><pre tabindex="0">{COMMAND}</pre></div>'
    assert (block in text) == bool(hours.get("one")) and text.count('class="copy"') == 2 + (block in text)


def test_the_settings_of_what_ships_come_first_and_say_so(tmp_path):
    """Where a PSNR network shipped, the settings of every design but that one were at the end."""
    sweep, rows = fake_sweep(tmp_path)
    titles = re.findall("<summary>(settings of .*?)</summary>", build_report(tmp_path).read_text())
    assert titles[0] == "settings of b4 bn shuffle adv=0.1, which ships" and len(titles) == 3
    ship_psnr_network(tmp_path, sweep, rows)
    titles = re.findall("<summary>(settings of .*?)</summary>", build_report(tmp_path).read_text())
    assert titles[:2] == [
        "settings of PSNR network b4 shuffle, 240 steps, which ships",
        "settings of b4 bn shuffle adv=0.1",
    ]


def test_words_that_a_stranger_does_not_know_are_explained_before_the_pictures(tmp_path):
    """Val, test, seed and confirmed stood all over the page, and nothing said what they are."""
    fake_sweep(tmp_path)
    header = build_report(tmp_path).read_text().partition("</header>")[0]
    for word in ("Val: the images", "test: images measured once", "Seed: a", "Confirmed: trained again"):
        assert word in header
