"""LSUN's LMDB, as a folder or in its zip: read completely, and a damaged one is an error."""

from pathlib import Path

import pytest
from helpers.archives import counts, lsun_images, lsun_zip, make_lmdb, make_zip, picture

from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.prepare import prepare
from datasets.shard_reader import samples


@pytest.mark.parametrize("packed", [True, False])
def test_lsun_as_its_zip_or_its_folder(tmp_path: Path, packed: bool) -> None:
    images = lsun_images(20)
    path = lsun_zip(tmp_path, images)
    source = path if packed else tmp_path / "tower_train_lmdb"
    out = tmp_path / "out"
    assert counts("lsun_tower", source, out, split="cut") == {"train": 15, "val": 2, "test": 2, "gate": 1}
    manifest = ImageSet(str(out), "train", tmp_path).manifest
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    assert dict(samples(str(out), shards)) == {key.decode(): (value,) for key, value in images.items()}
    assert sorted(p.name for p in tmp_path.iterdir() if "unpacked" in p.name) == []


def test_bytes_decide_the_extension_not_names(tmp_path: Path) -> None:
    prepare("lsun_tower", str(lsun_zip(tmp_path, lsun_images(8))), str(tmp_path / "o"), split="whole")
    rows = ImageSet(str(tmp_path / "o"), "test", tmp_path).rows
    assert [row.ext for row in rows] == ["jpg", "webp"] * 4


@pytest.mark.parametrize("keep", [0, 100, 4096, 8192, 20_000])
def test_a_cut_lmdb_is_an_error_and_not_a_crash(tmp_path: Path, keep: int) -> None:
    folder = make_lmdb(tmp_path / "l", lsun_images(40))
    data = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(data[:keep])
    with pytest.raises(UserError, match="data.mdb (is damaged|claims)"):
        prepare("lsun_tower", str(folder), str(tmp_path / "o"), split="cut")


def test_a_zip_without_an_lmdb_is_named(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"x.png": picture(0)})
    with pytest.raises(UserError, match="has 0 data.mdb files; expected LSUN's zip"):
        prepare("lsun_tower", str(path), str(tmp_path / "o"))
