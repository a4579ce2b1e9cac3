"""A full disk is one sentence; nothing half-written is left, and the same command works once there is room.

The disks are small tmpfs mounts, which need root; read-only ones are the same mounts, remounted.
"""

import os
import subprocess

import pytest
import torch
from helpers.disks import fill
from helpers.promotion import storage, sweep  # noqa: F401

from datasets.errors import disk_trouble
from datasets.files import atomic_json, create_file
from experiments.common import cli
from orchestrator.registry.candidate_source import CandidateSource
from orchestrator.registry.export_file import Export, write_export
from orchestrator.registry.load_model import load_generator
from orchestrator.registry.promote import promote
from orchestrator.registry.registry import Registry
from orchestrator.storage import Storage
from orchestrator.sweep.heartbeat import Heartbeat
from orchestrator.tracking.journal import AppendOnlyFile
from orchestrator.tracking.server import default_uri
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator

CONFIG = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=8))


class Disk:
    """A disk of 1 MB."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs root, to mount a small disk")

    def fill(self):
        fill(self.folder)

    def free(self):
        (self.folder / "filler").unlink()

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)

    def files(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", "-l", str(made.folder)], check=True)


def network():
    torch.manual_seed(0)
    return build_generator(CONFIG.generator)


WRITERS = {
    "a JSON file of ours": lambda folder: atomic_json(folder / "x.json", {"a": "b" * 9000}),
    "a file that is created once": lambda folder: create_file(folder / "x.json", b"b" * 9000),
    "a file of a storage": lambda folder: Storage(str(folder)).write_text("s/x.json", "b" * 9000),
    "a candidate": lambda folder: checkpoint.save_generator(folder / "c", CONFIG, network(), {}),
}


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_writer_says_it_and_leaves_nothing(what, trouble, disk):
    disk.fill()
    if trouble == "read-only":
        disk.free()
        disk.remount("ro")
    before = disk.files()
    with pytest.raises(Exception) as error:  # noqa: PT011 - safetensors and Python raise different ones
        WRITERS[what](disk.folder)
    assert f"the disk is {trouble}; change that and run the command again" in disk_trouble(error.value)
    assert [f for f in disk.files() if f != "s"] == before
    disk.free() if trouble == "full" else disk.remount("rw")
    WRITERS[what](disk.folder)
    assert len(disk.files()) > len(before) - 1


def test_beats_on_a_full_disk_leave_no_files_and_go_on_with_room(disk, monkeypatch):
    storage = Storage(str(disk.folder))
    with Heartbeat(storage, "s") as heart:
        heart.storage.write_text("s/sweep.json", "{}")
        disk.fill()
        before = disk.files()
        for _ in range(5):
            with pytest.raises(OSError, match="No space left"):
                heart.storage.write_text("s/leaderboard.json", "x" * 9000)
        assert disk.files() == before
        disk.free()
        heart.storage.write_text("s/leaderboard.json", "x" * 9000)
    assert disk.files() == ["s", "s/alive.json", "s/claims", "s/claims/000001.json"] + [
        "s/leaderboard.json",
        "s/sweep.json",
    ]


def test_a_journal_waits_in_memory_for_room(disk):
    journal = AppendOnlyFile(disk.folder / "journal.jsonl")
    disk.fill()
    with pytest.warns(RuntimeWarning, match="entries wait in memory"):
        assert not journal.append([{"run_key": "k", "kind": "tags", "text": "x" * 9000}])
    disk.free()
    assert journal.append([])
    assert (disk.folder / "journal.jsonl").stat().st_size > 9000
    journal.close()


@pytest.mark.slow  # half a minute
def test_an_export_and_a_promotion_on_a_full_disk(disk, storage, capsys):  # noqa: F811
    sweep(storage, "demo", 1.0)
    promote(CandidateSource(str(storage), "demo"))
    name, uri = "models:/upsweep-demo@champion", default_uri(storage)
    generator, config = load_generator(name, uri)
    wanted = Export(disk.folder / "best.safetensors")
    disk.fill()
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: write_export(wanted, generator, config, storage))
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: the disk is full; change that and run the command again\n"
    assert disk.files() == ["filler"]
    disk.free()
    write_export(wanted, generator, config, storage)
    assert disk.files() == ["best.safetensors"]
    assert Registry(uri, "upsweep-demo").by_alias("champion").number == 1
