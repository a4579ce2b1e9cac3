"""kill -9 of the importer and of the cache builder: the next run completes, and the result is the same."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.paths import ROOT
from PIL import Image

from datasets import validate
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource, Member
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


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(48):
        pixels = np.random.default_rng(i).integers(0, 256, (160, 160, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (folder / f"{i}.png").write_bytes(buffer.getvalue())
    return folder


TOGETHER = """
import os, sys
from pathlib import Path
from datasets import cache, shard_writer
from datasets.image_set import open_images

log = os.open(sys.argv[3], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
for module, name in ((cache, "_build"), (shard_writer, "_import")):
    def counted(*arguments, real=getattr(module, name), name=name):
        os.write(log, f"{name}\\n".encode())
        return real(*arguments)
    setattr(module, name, counted)
children = []
for _ in range(8):
    pid = os.fork()
    if not pid:
        try:
            images = open_images(sys.argv[1], "train", work_dir=Path(sys.argv[2]))
            os.write(log, f"{images.digest} {int(images[3].sum())}\\n".encode())
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
"""


def test_eight_processes_import_and_decode_once(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TOGETHER, str(photos), str(tmp_path / "w"), str(tmp_path / "log")]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines.count("_import") == lines.count("_build") == 1
    assert len(lines) == 10 and len(set(lines)) == 3
    assert not list((tmp_path / "w" / "cache").glob(".*"))


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


def test_work_that_was_done_is_not_done_again(photos: Path, tmp_path: Path) -> None:
    class Fragile(FolderSource):
        reads, limit = 0, 30

        def read(self, member: Member) -> bytes:
            self.reads += 1
            if self.reads > self.limit:
                raise KeyboardInterrupt
            return super().read(member)

    chunk, validate.CHUNK = validate.CHUNK, 8
    try:
        source = Fragile(photos)
        parts = {"train": SplitSource(source, source.members())}
        with pytest.raises(KeyboardInterrupt):
            pack(tmp_path / "o", "t", parts, PackSettings(workers=1))
        source.reads, source.limit = 0, 1000
        pack(tmp_path / "o", "t", parts, PackSettings(workers=1))
    finally:
        validate.CHUNK = chunk
    assert source.reads == (48 - 24) + 48  # three chunks were noted; packing reads all once more
