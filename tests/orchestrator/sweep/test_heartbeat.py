"""A sweep that runs beats, counts its time, and stops when another shell asks it to."""

import json
import signal
import time
from dataclasses import replace

import pytest

from orchestrator.storage import Storage
from orchestrator.sweep import heartbeat
from orchestrator.sweep.claim import ALIVE, is_running, last_beat, this_driver
from orchestrator.sweep.heartbeat import Heartbeat


@pytest.fixture
def storage(tmp_path, monkeypatch):
    storage = Storage(str(tmp_path / "runs"))
    facts = {"space": "demo", "recipe": "demo", "status": "running", "started": 0}
    storage.write_text("s/sweep.json", json.dumps(facts))
    return storage


def beats(storage, **changes):
    beat = replace(this_driver(seconds=10.0), **changes)
    storage.write_text(f"s/{ALIVE}", beat.to_json())


def test_a_beat_counts_the_time_of_all_lives(storage):
    beats(storage, seconds=100.0, ended=True)
    with Heartbeat(storage, "s") as heart:
        assert is_running(storage, "s")
        assert 100 <= heart.seconds() < 160
        heart.progress = lambda: "screen 3 of 8 done"
        heart._write(ended=False)
        assert last_beat(storage, "s").progress == "screen 3 of 8 done"
        heart.progress = lambda: 1 / 0
        heart._write(ended=False)
        assert last_beat(storage, "s").progress == ""
    assert not is_running(storage, "s")
    assert last_beat(storage, "s").seconds >= 100


def test_the_marker_of_an_earlier_life_is_gone(storage):
    storage.write_text(f"s/{heartbeat.STOP}", "{}")
    with Heartbeat(storage, "s"):
        assert not storage.exists(f"s/{heartbeat.STOP}")


def test_a_marker_stops_the_driver_as_ctrl_c_does_and_once(storage, monkeypatch):
    monkeypatch.setattr(Heartbeat, "__init__", quick(Heartbeat.__init__))
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with Heartbeat(storage, "s"):
            storage.write_text(f"s/{heartbeat.STOP}", "{}")
            wait(lambda: heard)
            time.sleep(0.1)
        assert heard == [1]
        with Heartbeat(storage, "s") as heart:
            heart.ignore_stop_requests()
            storage.write_text(f"s/{heartbeat.STOP}", "{}")
            time.sleep(0.1)
        assert heard == [1], "a sweep that is writing its report is not cut in half"
    finally:
        signal.signal(signal.SIGINT, before)


def quick(init):
    def made(self, *words):
        init(self, *words)
        self.every_s = 0.01

    return made


def wait(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_that_does_not_listen_is_said_so(storage):
    beats(storage)
    assert not heartbeat.request_stop(storage, "s", wait_s=0.0)
    assert storage.exists(f"s/{heartbeat.STOP}")
