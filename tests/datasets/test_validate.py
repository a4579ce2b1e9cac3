"""Validation: broken images and duplicates are dropped with a reason, finished work is not repeated."""

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.archives import packed, png
from helpers.hostile_images import PNG
from PIL import Image

from datasets import validate
from datasets.errors import UserError
from datasets.prepare import prepare
from datasets.shard_reader import read_manifest
from datasets.shard_writer import PackSettings, pack
from datasets.sources import ArchiveMember, FolderSource
from datasets.splits import split_by_share
from datasets.validate import SplitSource


def test_the_same_pixels_enter_once(folder: Path, tmp_path: Path) -> None:
    (folder / "copy.png").write_bytes(png(2))
    out = packed(folder, tmp_path / "a")
    assert read_manifest(str(out)).splits["all"].count == 6
    assert (out / "rejected.csv").read_text().splitlines()[1] == "all,copy.png,the same pixels as all/2"


def test_a_near_duplicate_leaves_the_side_of_lower_priority(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    large = picture.resize((72, 72), Image.Resampling.BICUBIC)
    for role, quality in (("train", 95), ("test", 60)):
        (tmp_path / role).mkdir()
        large.save(tmp_path / role / "same.jpg", quality=quality)
        (tmp_path / role / "other.png").write_bytes(png(len(role)))
    sources = {role: FolderSource(tmp_path / role) for role in ("train", "test")}
    parts = {role: SplitSource(source, source.members()) for role, source in sources.items()}
    manifest = pack(tmp_path / "out", "t", parts, PackSettings())
    assert {role: split.count for role, split in manifest.splits.items()} == {"train": 1, "test": 2}
    assert "a near duplicate of test/same" in (tmp_path / "out" / "rejected.csv").read_text()


def test_broken_images_are_left_out_with_a_reason_up_to_a_share(folder: Path, tmp_path: Path) -> None:
    (folder / "cut.png").write_bytes(png(9)[:-200])
    with pytest.raises(
        UserError,
        match=r"1 of 7 images were rejected \(for instance cut.png: cannot be decoded.*"
        r"upsweep prepare folder --max-rejected SHARE",
    ):
        packed(folder, tmp_path / "a")
    out = packed(folder, tmp_path / "b", max_rejected=0.5)
    assert read_manifest(str(out)).splits["all"].count == 6


PROBED = 16  # every third of 48 images


def test_work_that_was_done_is_not_done_again(photos: Path, tmp_path: Path) -> None:
    class Fragile(FolderSource):
        reads, limit = 0, 30 + PROBED

        def read(self, member: ArchiveMember) -> bytes:
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
    # three chunks were noted; packing reads all once more, and a few are read to learn bands and depth
    assert source.reads == PROBED + (48 - 24) + 48


def test_duplicates_that_leave_nothing_to_train_on_are_the_reason_given(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(12):
        (tmp_path / f"in/{i}.png").write_bytes(PNG)
    source = FolderSource(tmp_path / "in")
    parts = {r: SplitSource(source, m) for r, m in split_by_share(source.members()).items()}
    with pytest.raises(UserError, match="11 of 12 images show the same picture .* none is left for"):
        pack(tmp_path / "out", "x", parts, PackSettings())


def test_a_gate_that_loses_a_copy_is_filled_up_from_train(tmp_path: Path) -> None:
    # Found with 190 scans, one of them there twice: 29 images were left in the gate, and it needs 30.
    scans, out = tmp_path / "in", tmp_path / "out"
    scans.mkdir()
    for i in range(90):
        (scans / f"{i}.png").write_bytes(png(i))
    roles = split_by_share(FolderSource(scans).members())
    first = {role: members[0].name for role, members in roles.items()}
    (scans / first["gate"]).write_bytes((scans / first["test"]).read_bytes())  # dropped from the gate
    manifest = prepare("folder", str(scans), str(out))
    assert {role: split.count for role, split in manifest.splits.items()} == {
        "train": len(roles["train"]) - 1, "val": 7, "test": 7, "gate": 30,
    }  # fmt: skip
    keys = [key for role in manifest.splits for key in index_keys(out, role)]
    assert len(keys) == len(set(keys)) == 89
    planned = {m.key for m in roles["gate"]} - {Path(first["gate"]).stem}
    (moved,) = set(index_keys(out, "gate")) - planned
    assert moved in {m.key for m in roles["train"]}


def index_keys(out: Path, role: str) -> list[str]:
    with (out / f"index-{role}.csv").open(newline="") as file:
        return [row["key"] for row in csv.DictReader(file)]
