"""Bars of single tasks, with a terminal and without."""

import io

from rich.console import Console

from orchestrator.console.bars import BatchProgress, waiting


def test_many_items_are_told_of_in_lines_now_and_then_where_nothing_can_be_drawn(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("orchestrator.console.bars.PLAIN_EVERY_S", 0.0)
    with BatchProgress(3, Console(file=out, force_terminal=False)) as bar:
        bar.update("bicubic", 0, 1)
        bar.update("candidate", 1, 4)
    assert out.getvalue() == "1 of 3: bicubic\n2 of 3: candidate 1/4\n"


def test_a_wait_shows_its_time_on_a_terminal_and_nothing_in_a_file():
    for terminal in (True, False):
        out = io.StringIO()
        with waiting("measuring [this] machine", Console(file=out, force_terminal=terminal, width=60)):
            pass
        assert ("measuring [this] machine" in out.getvalue() and "0:00:0" in out.getvalue()) == terminal
        assert terminal or not out.getvalue()
