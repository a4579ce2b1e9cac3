"""report.html: what a sweep found, in one file that needs no network and no server.

facts.py   what is said: rows -> the answer in words and numbers
plots.py   drawings as SVG
opinions.py  what raters said
page.py    sections of the page, everything escaped
page.css, page.js   how it looks; sorting, filtering, tooltips, the slider
"""

from pathlib import Path

from orchestrator.report.data import read
from orchestrator.report.page import render


def build_report(sweep_dir: Path) -> Path:
    """Write `sweep_dir`/report.html from sweep.json, leaderboard.json and the strips; returns its path."""
    target = Path(sweep_dir) / "report.html"
    temporary = target.with_name(".report.html")
    temporary.write_text(render(read(Path(sweep_dir))), encoding="utf-8")
    temporary.replace(target)
    return target
