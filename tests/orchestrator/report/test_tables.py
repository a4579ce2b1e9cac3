"""Every run has a row, with a cost if the sweep has a price."""

import json

from helpers.fake_sweep import fake_sweep
from helpers.report_page import Page

from orchestrator.report import build_report


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
