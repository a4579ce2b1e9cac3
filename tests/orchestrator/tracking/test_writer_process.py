"""The writer process ends when its parent has ended and everything is delivered."""

import os
import sys
from types import SimpleNamespace

import pytest

from datasets.files import read_json
from orchestrator.tracking import writer_process
from orchestrator.tracking.writer_process import ParentProcess, deliver_forever


@pytest.fixture
def parent(monkeypatch):
    """Return a function that closes the parent's end of stdin."""
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    monkeypatch.setattr(writer_process, "BACKOFF_S", (0.01, 0.02))
    monkeypatch.setattr(writer_process, "POLL_S", 0.01)
    monkeypatch.setattr(writer_process, "set_writer_defaults", lambda: None)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    return lambda: os.close(writer)


def deliveries(monkeypatch, *results):
    """Replace Delivery by one whose steps return or raise `results`, then False; return the calls left."""
    left = list(results)

    def step():
        result = left.pop(0) if left else False
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(writer_process, "Delivery", lambda *_: SimpleNamespace(step=step, offset=42))
    return left


def test_the_end_of_the_parent_wakes_the_wait(parent):
    watched = ParentProcess()
    watched.wait(0)
    assert watched.gone_for() == 0
    parent()
    watched.wait(60)
    assert watched.gone_since is not None and watched.gone_for() >= 0


def test_everything_is_delivered_before_the_process_ends(parent, monkeypatch, tmp_path):
    left = deliveries(monkeypatch, True, ConnectionError("outage"), True, True)
    parent()
    deliver_forever(tmp_path, "uri", "experiment")
    assert left == [] and read_json(tmp_path / "progress.json") == {"offset": 42, "state": "delivering"}


def test_a_store_that_fails_for_long_after_the_parent_ended_is_given_up(parent, monkeypatch, tmp_path):
    monkeypatch.setattr(writer_process, "ORPHAN_GRACE_S", 0.0)
    deliveries(monkeypatch, *[ConnectionError("outage")] * 100)
    parent()
    with pytest.raises(SystemExit, match="undelivered entries stay in .*: outage"):
        deliver_forever(tmp_path, "uri", "experiment")
    status = read_json(tmp_path / "progress.json")
    assert status == {"offset": 0, "state": "waiting", "error": "ConnectionError: outage"}
