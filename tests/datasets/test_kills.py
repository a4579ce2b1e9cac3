"""kill -9 of the importer and of the cache builder: the next run completes, and the result is the same."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource
from datasets.validate import SplitSource

KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from datasets import validate
from datasets.validate import SplitSource
from datasets.image_set import ImageSet
from datasets.sources import FolderSource
from datasets.shard_writer import PackSettings, pack

validate.CHUNK = 8
what, source, target, kills = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])

def work(out):
    if what == "import":
        photos = FolderSource(source)
        parts = {"train": SplitSource(photos, photos.members())}
        pack(out, "t", parts, PackSettings(images_per_shard=8))
    else:
        ImageSet(str(source), "train", out).pixels

def child(out):  # forked: imports of seconds are paid once
    pid = os.fork()
    if not pid:
        try:
            work(out)
            os._exit(0)
        finally:
            os._exit(1)
    return pid

begun = time.monotonic()
assert os.waitpid(child(target / "whole"), 0)[1] == 0
length = time.monotonic() - begun
moments, hits, attempt = random.Random(0), 0, 0
while hits < kills and attempt < 5 * kills:  # a run may end before its kill, the more so on a busy machine
    out = target / f"killed{attempt}"
    attempt += 1
    pid = child(out)
    time.sleep(moments.uniform(0, 0.9 * length))
    os.kill(pid, signal.SIGKILL)
    hits += os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert os.waitpid(child(out), 0)[1] == 0
print(hits)
"""


def kill(what: str, source: Path, target: Path, kills: int) -> int:
    """Kill `kills` runs at random moments, then complete each; how many were killed before their end."""
    target.mkdir()
    command = [sys.executable, "-c", KILLER, what, str(source), str(target), str(kills)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return int(child.stdout)


def content(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".lock", ".use")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_a_killed_import_goes_on_and_ends_byte_identical(photos: Path, tmp_path: Path, kills: int) -> None:
    assert kill("import", photos, tmp_path / "o", kills) >= kills / 2
    whole = content(tmp_path / "o" / "whole")
    assert "manifest.json" in whole and len(whole) > 8
    for completed in (tmp_path / "o").glob("killed*"):
        assert content(completed) == whole


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_a_killed_cache_builder_leaves_its_lock_to_the_next(photos: Path, tmp_path: Path, kills: int) -> None:
    source = FolderSource(photos)
    shards = tmp_path / "shards"
    pack(shards, "t", {"train": SplitSource(source, source.members())}, PackSettings(images_per_shard=8))
    assert kill("cache", shards, tmp_path / "o", kills) >= kills / 2
    whole = content(tmp_path / "o" / "whole")
    assert any(name.endswith("pixels.u8") for name in whole)
    for completed in (tmp_path / "o").glob("killed*"):
        assert content(completed) == whole
