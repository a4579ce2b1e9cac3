"""report.html of a sweep that runs: it grows with the rows, claims no result, and outlives a full disk."""

import os
import threading

import pytest
from helpers.fake_sweep import fake_sweep

from orchestrator.storage import Storage
from orchestrator.sweep import live_report
from orchestrator.sweep.claim import Superseded
from orchestrator.sweep.live_report import LiveReport, open_report

CLAIMS = ("picked", "beats", "recommended", "An estimate", "better than", "the pick")


class Told(Storage):
    """A storage whose first writes fail as `faults` say; `pages` are those that were written."""

    def __init__(self, root, faults=()):
        super().__init__(str(root))
        self.faults, self.pages, self.tries = list(faults), [], 0
        self.tried = threading.Condition()

    def write_text(self, name, text):
        with self.tried:
            self.tries += 1
            self.tried.notify_all()
            if self.faults:
                raise self.faults.pop(0)
            super().write_text(name, text)
            self.pages.append(text)

    def wait_for(self, condition):
        with self.tried:
            assert self.tried.wait_for(condition, 60), "nothing was written"


@pytest.fixture
def running(tmp_path):
    """sweep.json and rows of a sweep that began a moment ago."""
    facts, rows = fake_sweep(tmp_path / "made")
    for name in ("pick", "pick_reason", "front", "ended"):
        del facts[name]
    return facts | {"status": "running"}, [row for row in rows if row["stage"] != "test"]


def test_the_page_says_how_far_the_sweep_is_grows_and_claims_nothing(tmp_path, running):
    facts, rows = running
    storage, ended = Told(tmp_path), {}
    with LiveReport(storage, facts, ended, lambda: f"screen {len(ended)} of 14 done", every_s=0.01):
        storage.wait_for(lambda: storage.pages)
        assert (
            "<h1>Running: screen 0 of 14 done</h1>" in storage.pages[0] and "0 runs ended" in storage.pages[0]
        )
        assert storage.pages[0].count("Do it again") == 1, "one section needs no contents"
        ended.update((row["trial_id"], row) for row in rows)
        storage.wait_for(lambda: f"{len(rows)} runs ended" in storage.pages[-1])
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page == storage.pages[-1] and 'id="confirm-0-s1"' in page and "No result yet" in page
    assert 'http-equiv="refresh" content="10"' in page and 'data-seconds="10"' in page, "a young sweep"
    said = page.partition("<body>")[2].partition("<script>")[0]
    assert [claim for claim in CLAIMS if claim in said] == []


def test_a_sweep_that_is_stopped_leaves_a_page_that_says_so_and_is_not_read_again(tmp_path, running):
    storage = Told(tmp_path)
    with (
        pytest.raises(KeyboardInterrupt),
        LiveReport(storage, running[0], {}, lambda: "screen 3 of 14 done"),
    ):
        raise KeyboardInterrupt
    assert "<h1>Stopped: screen 3 of 14 done</h1>" in storage.pages[-1]
    assert 'http-equiv="refresh"' not in storage.pages[-1] and 'id="live"' not in storage.pages[-1]


def test_a_young_sweep_writes_its_page_often_and_an_older_one_each_minute(tmp_path, running, monkeypatch):
    """A minute long the page said "starting" while the terminal counted warm starts."""
    monkeypatch.setattr(live_report, "EARLY_EVERY_S", 0.01)
    storage = Told(tmp_path)
    with LiveReport(storage, running[0], {}, lambda: "warm 1 of 4 done"):
        storage.wait_for(lambda: len(storage.pages) >= 3)
    monkeypatch.setattr(live_report, "EARLY_S", 0.0)
    storage = Told(tmp_path)
    with LiveReport(storage, running[0], {}, lambda: "warm 1 of 4 done") as live:
        storage.wait_for(lambda: storage.pages)
        live.thread.join(0.3)
    assert len(storage.pages) == 1 and 'data-seconds="60"' in storage.pages[0]


def test_a_full_disk_is_tried_again(tmp_path, running):
    storage = Told(tmp_path, [OSError(28, "No space left on device")] * 2)
    with LiveReport(storage, running[0], {}, lambda: "screen", every_s=0.01):
        storage.wait_for(lambda: storage.pages)
    assert storage.faults == []


def test_a_driver_that_lost_its_sweep_writes_no_page(tmp_path, running):
    storage = Told(tmp_path, [Superseded("another driver")])
    with LiveReport(storage, running[0], {}, lambda: "screen", every_s=0.01) as live:
        live.thread.join(60)
    assert storage.tries == 1 and storage.pages == []


def test_a_fault_in_the_page_is_said_once_and_ends_nothing(tmp_path, running):
    said = []
    facts = {k: v for k, v in running[0].items() if k != "recipe"}
    with LiveReport(Told(tmp_path), facts, {}, lambda: "screen", said.append, every_s=0.01) as live:
        live.thread.join(60)
    assert said == ["report.html is not rewritten while the sweep runs: KeyError: 'recipe'"]


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """What a waiting thread opened in the browser and what it said, for a page that is old and then new."""

    def show(**display):
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
        for name, value in display.items():
            monkeypatch.setenv(name, value)
        opened, said = [], []

        def browse(uri):
            opened.append(uri)
            return True

        monkeypatch.setattr(live_report.sys, "platform", "linux")
        monkeypatch.setattr(live_report.webbrowser, "open", browse)
        page = tmp_path / "demo" / "report.html"
        page.parent.mkdir()
        page.write_text("of the sweep before")
        os.utime(page, (0, 0))
        waiting = open_report(Storage(str(tmp_path)), "demo", said.append)
        waiting.join(0.5)
        assert waiting.is_alive() and opened == said == []
        page.write_text("new")
        waiting.join(60)
        assert not waiting.is_alive()
        return page, opened, said

    return show


def test_the_report_opens_in_a_browser_once_it_is_written_anew(shown):
    page, opened, said = shown(DISPLAY=":0")
    assert opened == [page.as_uri()] and said == []


def test_without_a_display_the_address_of_the_report_is_said(shown):
    page, opened, said = shown()
    assert opened == [] and said == [f"report: {page} (rewritten as the sweep goes on)"]
