"""The cache of decoded images: built once, old entries still load."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import old_import
from helpers.paths import ROOT

from datasets import cache
from datasets.errors import UserError
from datasets.image_set import ImageSet

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


def old_set(tmp_path: Path) -> ImageSet:
    return ImageSet(str(old_import.write_shards(tmp_path / "shards")), "test", tmp_path / "cache")


def test_an_old_entry_is_used_and_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_import.write_cache(tmp_path / "cache")
    monkeypatch.setattr(cache, "_build", None)
    images = old_set(tmp_path)
    assert images[0].tobytes() + images[1].tobytes() == old_import.PIXELS


def test_a_new_entry_equals_the_old_one_and_leaves_no_temporary_folder(tmp_path: Path) -> None:
    leftover = tmp_path / "cache" / f".{old_import.CACHE_KEY}.0123abcd.tmp"
    leftover.mkdir(parents=True)
    old_set(tmp_path)[0]
    entry = tmp_path / "cache" / old_import.CACHE_KEY
    assert (entry / "pixels.u8").read_bytes() == old_import.PIXELS
    assert (entry / "meta.json").read_text() == old_import.META
    assert sorted(p.name for p in entry.parent.iterdir()) == [entry.name, f"{entry.name}.lock"]


def test_an_entry_of_another_length_is_named(tmp_path: Path) -> None:
    entry = old_import.write_cache(tmp_path / "cache")
    (entry / "pixels.u8").write_bytes(b"short")
    with pytest.raises(UserError, match="pixels.u8 must have 96 bytes, but has 5; delete .*db947b2adae8c975"):
        old_set(tmp_path)[0]


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path: Path) -> None:
    images = old_set(tmp_path)
    images.rows[1] = dataclasses.replace(images.rows[1], pixel_sha256="0")
    with pytest.raises(UserError, match="image 1 decodes to other pixels than when it was imported"):
        images[0]
    images.rows[0] = dataclasses.replace(images.rows[0], key="x")
    with pytest.raises(UserError, match="the shards hold image 0, but the index lists x; import again"):
        images[0]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [f"{old_import.CACHE_KEY}.lock"]
