"""A sweep of five hundred trials reads as well as one of five: living line, last words, report."""

import io
import re
from pathlib import Path

import pytest
from helpers.fake_sweep import fake_sweep
from rich.console import Console

from orchestrator.console.progress_line import ProgressLine, StagePlan
from orchestrator.report import build_report
from orchestrator.storage import Storage
from orchestrator.sweep import summary

TRIALS = 500


def test_the_living_line_stays_one_line_and_the_log_short():
    out = io.StringIO()
    p = ProgressLine([StagePlan("screen", TRIALS, 0, 50, 0.5)], 8, Console(file=out, force_terminal=False))
    with p:
        p.begin("screen")
        for trial in range(TRIALS):
            p.note = "best lpips_alex 0.1234 at 30.00 dB (bicubic lpips_alex 0.2345 at 29.00 dB)"
            for step in (0, 25, 50):
                p.step(f"t{trial}", "gan", step, trial + step / 10)
            p.end(f"t{trial}")
            assert "\n" not in p.line() and len(p.line()) < 160
    assert p.line().startswith("screen 500 of 500 done | 0:0") and "| best lpips_alex" in p.line()
    assert out.getvalue().count("\n") < 5, "1,500 reports are not 1,500 lines"


@pytest.fixture(scope="module")
def hundreds(tmp_path_factory):
    """Folder, facts and rows of a finished sweep in which a hundred trials failed, each in its own way."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    facts, rows = fake_sweep(folder, seeds=5, trials=TRIALS)
    failures = sorted(f"failed: the checkpoint in /runs/demo/attempt-{k:03d} is damaged" for k in range(100))
    counts = {"diverged": 1, "screen": TRIALS, "screened_out": 244}
    said = {"failures": failures, "counts": counts, "budget_reached": "", "designs": [], "cost": 0.0}
    said |= {"bicubic": {"test": {}}, "pick_design": "b4", "pick_reason": "best"}
    return folder, facts | said, rows


def test_the_last_words_name_a_few_failures_and_count_the_others(hundreds, tmp_path):
    _, facts, _ = hundreds
    storage = Storage(str(tmp_path))
    lines = summary.format_summary(facts, storage)
    assert len(lines) < 20
    assert sum("is damaged" in line for line in lines) == 3
    assert "and 97 other reasons why trials failed; report.html names each" in lines
    few = summary.format_summary(facts | {"failures": facts["failures"][:3]}, storage)
    assert not any("other reasons" in line for line in few)


def test_the_report_holds_every_run_and_shows_those_that_matter(hundreds):
    folder, _, rows = hundreds
    page = build_report(folder).read_text()
    assert len(page) < 1_500_000, "it opens at once"
    assert all(f'<tr id="{row["trial_id"]}"' in page for row in rows), "and each can be found"
    assert 'class="wide tall"' in page, "in a box that scrolls, so that what follows is not 500 rows away"
    faint = {float(value) for value in re.findall(r"--faint:([\d.]+)", page)}
    assert faint == {0.08}
    drawn = page.partition('id="curves"')[2]
    pick = max(m.start() for m in re.finditer('class="line pick"', drawn.partition("</svg>")[0]))
    crowd = max(m.start() for m in re.finditer('class="line screened"', drawn.partition("</svg>")[0]))
    assert pick > crowd, "the pick lies on top of the crowd"


def test_a_few_curves_are_not_faint(tmp_path):
    fake_sweep(tmp_path / "demo", trials=5)
    page = build_report(Path(tmp_path / "demo")).read_text()
    assert {float(value) for value in re.findall(r"--faint:([\d.]+)", page)} == {0.55}
