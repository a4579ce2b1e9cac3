"""The driver's writer: durable through kills of its process, and refused at once if the store is unusable."""

import os
import signal
import time

import pytest
from helpers.tracking import points

from datasets.errors import UserError
from orchestrator.tracking import writer as writer_module
from orchestrator.tracking.journal import Journal
from orchestrator.tracking.server import default_uri
from orchestrator.tracking.writer import DeliveryStatus, Writer


def test_a_writer_keeps_its_identity_and_its_undelivered_entries(tmp_path):
    writer = Writer(tmp_path / "spool", default_uri(tmp_path), "upsweep", identity="0123abcd")
    writer._spool.append([{"run_key": "a", "kind": "end"}])
    assert not writer.delivered() and writer.progress() == DeliveryStatus(0, "starting", "")
    assert not writer.close(0)
    again = Writer(tmp_path / "spool", default_uri(tmp_path), "upsweep", identity="another")
    assert (tmp_path / "spool" / "identity.json").read_text() == '{"identity": "0123abcd"}'
    assert not again.delivered() and again.run_ids() == {}
    size = again._spool.path.stat().st_size
    (tmp_path / "spool" / "progress.json").write_text(f'{{"offset": {size}, "state": "delivering"}}')
    assert again.delivered() and again.close(0)


@pytest.mark.slow
def test_a_writer_killed_twice_loses_and_doubles_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "RESTART_EVERY_S", 0.0)
    uri = default_uri(tmp_path / "storage with space")
    writer = Writer(tmp_path / "spool", uri, "upsweep")
    writer.start()
    journal = Journal(tmp_path / "j.jsonl", "demo/screen/a")
    journal.start("b4", {"a": 1}, {}, "demo")
    for step in range(400):
        journal.metrics(step, {f"m{i}": float(step) for i in range(10)})
        writer.append(journal.drain())
        if step in (100, 300):
            while not writer.run_ids() or (step == 300 and writer.progress().delivered_bytes == 0):
                time.sleep(0.05)
            os.kill(writer._process.pid, signal.SIGKILL)
            writer._process.wait()
    assert writer.close(60)
    stored = points(writer.tracking_uri, writer.run_ids()["demo/screen/a"])
    assert len(stored) == 4000
    assert all(len(values) == 1 and values[0][0] == step for (_, step), values in stored.items())


def test_a_writer_refuses_to_start_where_nothing_answers(tmp_path):
    with pytest.raises(UserError, match="no MLflow server answers"):
        Writer(tmp_path, "http://127.0.0.1:9", "upsweep").start()
