"""The record of a sweep through real outages equals the record of an undisturbed one."""

import os
import resource
import signal
import sqlite3

import pytest
from helpers.mlflow_server import Server, wait_for  # noqa: F401

from orchestrator.tracking import writer as writer_module
from orchestrator.tracking.journal import Journal
from orchestrator.tracking.server import database_path, default_uri
from orchestrator.tracking.writer import Writer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
METRICS = ("pixel/loss_g", "gan/loss_g", "gan/loss_d", "val/psnr_y", "val/swd")


def told(trial, step):
    return {name: trial + step / 7 + place for place, name in enumerate(METRICS)}


def expected(trials, steps):
    return {
        (f"sweep/screen/{trial}", name, step): value
        for trial in range(trials)
        for step in range(steps)
        for name, value in told(trial, step).items()
    }


def stored(database):
    """{(run key, metric, step): value}, and the number of rows: a doubled point would be a row more."""
    rows = (
        sqlite3.connect(database)
        .execute(
            "SELECT tags.value, metrics.key, metrics.step, metrics.value FROM metrics JOIN tags "
            "ON tags.run_uuid = metrics.run_uuid AND tags.key = 'upsweep.run_key'"
        )
        .fetchall()
    )
    return {row[:3]: row[3] for row in rows}, len(rows)


class Trials:
    """Runs that report in turn, as a driver sees them."""

    def __init__(self, folder, count):
        self.journals = [Journal(folder / f"{i}.jsonl", f"sweep/screen/{i}") for i in range(count)]
        for i, journal in enumerate(self.journals):
            journal.start(f"b{i}", {"generator.num_blocks": i}, {}, "sweep")

    def report(self, writer, step):
        for trial, journal in enumerate(self.journals):
            journal.metrics(step, told(trial, step))
            writer.append(journal.drain())


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def test_a_server_killed_and_a_writer_killed_meanwhile_lose_and_double_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "RESTART_EVERY_S", 0.5)
    writer = Writer(tmp_path / "spool", server.uri, "upsweep")
    writer.start()
    trials = Trials(tmp_path, 3)
    trials.report(writer, 0)
    wait_for(writer.delivered)
    for step in range(1, 40):
        trials.report(writer, step)
        if step == 10:
            server.kill()
            wait_for(lambda: writer.progress().state == "waiting")
            assert writer.progress().error
        if step == 20:
            os.kill(writer._process.pid, signal.SIGKILL)
            writer._process.wait()
    assert not writer.delivered()
    server.start()
    assert writer.close(90)
    values, rows = stored(server.database)
    assert values == expected(3, 40) and rows == len(values)
    assert len(writer.run_ids()) == 4


def test_a_full_disk_delays_the_record_and_loses_nothing(tmp_path):
    uri = default_uri(tmp_path)
    writer = Writer(tmp_path / "spool", uri, "upsweep")
    writer.start()
    trials = Trials(tmp_path, 2)
    trials.report(writer, 0)
    wait_for(writer.delivered)
    size, child = database_path(uri).stat().st_size, writer._process.pid
    _, hard = resource.prlimit(child, resource.RLIMIT_FSIZE)
    resource.prlimit(child, resource.RLIMIT_FSIZE, (size, hard))  # no file of the writer may grow past this
    for step in range(1, 300):
        trials.report(writer, step)
    wait_for(lambda: writer.progress().state == "waiting")
    assert not writer.delivered()
    resource.prlimit(child, resource.RLIMIT_FSIZE, (hard, hard))
    assert writer.close(90)
    values, rows = stored(database_path(uri))
    assert values == expected(2, 300) and rows == len(values)


def test_eight_sweeps_begin_at_once_on_a_new_database_and_a_new_experiment(tmp_path):
    uri = default_uri(tmp_path)
    writers = [Writer(tmp_path / f"spool{i}", uri, "upsweep") for i in range(8)]
    for writer in writers:
        writer.start()
    for i, writer in enumerate(writers):
        journal = Journal(tmp_path / f"{i}.jsonl", f"sweep{i}")
        journal.start(f"sweep {i}", {}, {})
        journal.metrics(1, {"psnr_y": float(i)})
        writer.append(journal.drain())
    assert all([writer.close(200) for writer in writers])
    rows = sqlite3.connect(database_path(uri)).execute(
        "SELECT experiments.name, COUNT(*) FROM runs JOIN experiments USING (experiment_id) GROUP BY 1"
    )
    assert rows.fetchall() == [("upsweep", 8)]
