"""Journals keep entries in order and once, through kills and full disks."""

import json
import sys

import pytest

from orchestrator.tracking.journal import AppendOnlyFile, Journal, read_entries


def test_a_run_is_written_from_start_to_end(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", "demo/screen/a")
    journal.start("b4 bn", {"loss.adversarial_weight": 0.1, "optim.milestones": [0.5]}, {"seed": 3}, "demo")
    journal.metrics(10, {"psnr_y": 25.5})
    journal.artifact(tmp_path / "strip.png", "strips")
    journal.end("FINISHED")
    entries = journal.drain()
    assert [entry["kind"] for entry in entries] == ["start", "metrics", "artifact", "end"]
    assert all(entry["run_key"] == "demo/screen/a" and entry["time_ms"] > 0 for entry in entries)
    assert entries[0]["params"] == {"loss.adversarial_weight": "0.1", "optim.milestones": "[0.5]"}
    assert entries[0]["parent_key"] == "demo"
    assert entries[1]["values"] == {"psnr_y": 25.5} and entries[1]["step"] == 10
    assert entries[2]["artifact_path"] == "strips"
    assert [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines()] == entries


def test_drain_gives_each_entry_once_and_reopening_offers_all_again(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", "a")
    journal.metrics(1, {"loss_g": 1.0})
    assert len(journal.drain()) == 1
    assert journal.drain() == []
    journal.metrics(2, {"loss_g": 0.5})
    assert [entry["step"] for entry in journal.drain()] == [2]
    assert [entry["step"] for entry in Journal(tmp_path / "j.jsonl", "a").drain()] == [1, 2]


def test_a_repeated_step_keeps_its_first_value_and_time(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", "a")
    journal.metrics(5, {"psnr_y": 20.0})
    first = journal.drain()[0]
    again = Journal(tmp_path / "j.jsonl", "a")
    again.start("name", {}, {})
    again.start("another", {}, {})
    again.metrics(5, {"psnr_y": 99.0, "swd": 1.0})
    entries = again.drain()
    assert entries[0] == first
    assert [entry["kind"] for entry in entries] == ["metrics", "start", "metrics"]
    assert entries[2]["values"] == {"swd": 1.0}


def test_nan_and_infinity_become_strings(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", "a")
    journal.metrics(1, {"loss_g": float("nan"), "loss_d": float("inf"), "psnr_y": 1})
    assert journal.drain()[0]["values"] == {"loss_g": "nan", "loss_d": "inf", "psnr_y": 1.0}


def test_a_line_cut_off_by_a_kill_is_removed_and_the_journal_continues(tmp_path):
    path = tmp_path / "j.jsonl"
    journal = Journal(path, "a")
    journal.metrics(1, {"loss_g": 1.0})
    journal.close()
    with open(path, "a") as file:
        file.write('{"run_key": "a", "kind": "metr')
    again = Journal(path, "a")
    again.metrics(2, {"loss_g": 0.5})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_reading_stops_before_a_line_that_is_still_being_written(tmp_path):
    path = tmp_path / "j.jsonl"
    whole = '{"run_key": "a", "kind": "end"}\nrubbish\n[1]\n'
    path.write_text(whole + '{"run_key"')
    entries, offset = read_entries(path)
    assert [entry["kind"] for entry in entries] == ["end"]
    assert offset == len(whole)
    assert read_entries(path, offset) == ([], offset)


def test_a_line_longer_than_the_reading_block_arrives_whole(tmp_path):
    AppendOnlyFile(tmp_path / "j.jsonl").append([{"run_key": "a", "kind": "start", "name": "x" * 5000}])
    entries, _ = read_entries(tmp_path / "j.jsonl", limit_bytes=100)
    assert len(entries[0]["name"]) == 5000


class FullDisk:
    """A file whose disk has room for `room` more bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        part = data[: self.room]
        self.room -= len(part)
        if data and not part:
            raise OSError(28, "No space left on device")
        return self.file.write(part)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_warns_once_and_nothing_is_lost(tmp_path):
    lines = AppendOnlyFile(tmp_path / "j.jsonl")
    lines._file = FullDisk(lines._file, room=60)
    assert lines.append([{"run_key": "a", "kind": "end", "n": 0}])
    with pytest.warns(RuntimeWarning, match="entries wait in memory"):
        assert not lines.append([{"run_key": "a", "kind": "end", "n": 1}])
    assert not lines.append([{"run_key": "a", "kind": "end", "n": 2}])
    lines._file.room = 10_000
    assert lines.append([])
    assert [entry["n"] for entry in read_entries(tmp_path / "j.jsonl")[0]] == [0, 1, 2]


def test_an_unknown_status_is_refused(tmp_path):
    with pytest.raises(ValueError, match="FINISHED, FAILED, KILLED, but got 'DONE'"):
        Journal(tmp_path / "j.jsonl", "a").end("DONE")


def test_the_journal_does_not_import_mlflow():
    import subprocess

    code = "import sys, orchestrator.tracking.writer; assert 'mlflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
