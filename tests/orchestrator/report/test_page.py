"""The page gives the answer first, escapes everything, and needs no other file."""

import json
import re

from helpers.fake_sweep import fake_strip, fake_sweep
from helpers.report_page import Page

from orchestrator.report import build_report


def test_the_answer_comes_first_with_gain_seeds_and_cost(tmp_path):
    fake_sweep(tmp_path)
    page = Page(build_report(tmp_path))
    assert re.search(
        r"adv=0\.1 was picked on val, swd 3\d% better than bicubic, 3\d% better than its warm", page.text
    )
    assert "2 seeds, 31 test images: 2 of 2 beat bicubic and 2 of 2 beat their own warm start." in page.text
    assert "Fewer than 5 seeds: an estimate, not a claim." in page.text
    assert "15 trials screened" in page.text and "12 min on the clock" in page.text
    assert page.text.index("picked on val") < page.text.index("Perception against distortion")


def test_the_page_needs_no_network_and_stays_small(tmp_path):
    fake_sweep(tmp_path)
    fake_strip(tmp_path / "trials" / "confirm-0-s1" / "strip.png")
    page = Page(build_report(tmp_path))
    assert page.addresses and all(address.startswith("data:image/webp") for address in page.addresses)
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
