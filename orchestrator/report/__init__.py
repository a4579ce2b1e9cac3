"""report.html: the results of a sweep in one file that needs no network and no server.

page          the sections in order; page.css and page.js: style, sorting, filtering, tooltips, the slider
data          the sweep's files, its designs and their means
sentences     the answer in words
comparisons   the pick against other designs and its references, with intervals
figures       the plane, the curves, the pictures
tables        designs, runs, outcomes, opinion scores
importance    the effect of each setting
svg, axis, parallel   plots, also for files that stand alone
markup        HTML shared by sections
"""

from pathlib import Path

from datasets.files import atomic_write
from orchestrator.report.data import read
from orchestrator.report.page import render


def build_report(sweep_dir: Path) -> Path:
    """Write `sweep_dir`/report.html from sweep.json, leaderboard.json and image strips; return its path."""
    target = Path(sweep_dir) / "report.html"
    atomic_write(target, render(read(Path(sweep_dir))).encode(), durable=False)
    return target
