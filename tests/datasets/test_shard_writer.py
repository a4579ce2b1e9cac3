"""Importing: deterministic bytes, an honest manifest, damaged shards noticed."""

import hashlib
import zipfile
from pathlib import Path

import pytest
import webdataset
from helpers.archives import packed
from helpers.paths import DATA

from datasets.config import ROLES
from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.manifest import MANIFEST
from datasets.prepare import prepare
from datasets.shard_reader import read_index, read_manifest, samples

CELEBA = DATA / "celeba_half" / "img_align_celeba.zip"
needs_data = pytest.mark.skipif(not CELEBA.is_file(), reason=f"no test images at {DATA}")


def read_all(out: Path) -> list[tuple[str, bytes]]:
    manifest = read_manifest(str(out))
    splits = manifest.splits.values()
    return [(key, data) for split in splits for key, (data,) in samples(str(out), split.shards)]


def files_of(out: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.iterdir())}


def test_the_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    a, b = packed(folder, tmp_path / "a"), packed(folder, tmp_path / "b", workers=3)
    assert files_of(a) == files_of(b)


def test_shards_hold_the_original_bytes_in_key_order(folder: Path, tmp_path: Path) -> None:
    out = packed(folder, tmp_path / "a", images_per_shard=4)
    assert read_all(out) == [(str(i), (folder / f"{i}.png").read_bytes()) for i in range(6)]
    shards = read_manifest(str(out)).splits["all"].shards
    assert [(s.count, s.first_key, s.last_key) for s in shards] == [(4, "0", "3"), (2, "4", "5")]


def test_plain_webdataset_reads_them(folder: Path, tmp_path: Path) -> None:
    out = packed(folder, tmp_path / "a", images_per_shard=6)
    dataset = webdataset.WebDataset(str(out / "all-00000.tar"), shardshuffle=False).decode("pil")
    assert [(s["__key__"], s["png"].size) for s in dataset] == [(str(i), (40, 40)) for i in range(6)]


def test_a_finished_import_is_kept_and_another_is_refused(folder: Path, tmp_path: Path) -> None:
    out = packed(folder, tmp_path / "a")
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    packed(folder, out)
    assert before == {p: p.stat().st_mtime_ns for p in out.iterdir()}
    with pytest.raises(UserError, match="already has other files"):
        packed(folder, out, min_px=8)


@pytest.mark.parametrize("cut", [512, 1024, 700, 10_000])
def test_a_shorter_shard_is_an_error_not_a_shorter_epoch(folder: Path, tmp_path: Path, cut: int) -> None:
    out = packed(folder, tmp_path / "a")
    tar = out / "all-00000.tar"
    data = tar.read_bytes().rstrip(b"\0")
    tar.write_bytes(data[: (len(data) - 4 * cut) // 512 * 512 if cut % 512 == 0 else -cut])
    with pytest.raises(UserError, match="all-00000.tar (gave|is damaged|has [0-9]+ bytes, but)"):
        read_all(out)


def test_a_flipped_byte_is_noticed(folder: Path, tmp_path: Path) -> None:
    out = packed(folder, tmp_path / "a")
    tar = out / "all-00000.tar"
    data = bytearray(tar.read_bytes())
    data[3000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(UserError, match="or its hash differs"):
        read_all(out)


def test_a_damaged_index_or_manifest_is_noticed(folder: Path, tmp_path: Path) -> None:
    out = packed(folder, tmp_path / "a")
    manifest = read_manifest(str(out))
    (out / "index-all.csv").write_text("key\n")
    with pytest.raises(UserError, match="index-all.csv has 4 bytes, but the manifest says"):
        read_index(str(out), manifest, "all")
    (out / MANIFEST).write_text("<html>")
    with pytest.raises(UserError, match="is not a manifest of shards"):
        read_manifest(str(out))


@needs_data
def test_celeba_layout_with_and_without_the_partition(tmp_path: Path) -> None:
    cut = prepare("celeba", str(CELEBA), str(tmp_path / "cut"), limit=50)
    assert {s: e.count for s, e in cut.splits.items()} == {"train": 40, "val": 4, "test": 4, "gate": 2}
    folder = tmp_path / "celeba"
    folder.mkdir()
    (folder / CELEBA.name).symlink_to(CELEBA)
    lines = [f"{i:06d}.jpg {(i > 20) + (i > 40)}" for i in range(1, 51)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines))
    official = prepare("celeba", str(folder / CELEBA.name), str(tmp_path / "official"), limit=50)
    counts = {s: e.count for s, e in official.splits.items()}
    assert counts["train"] == 20 and counts["test"] == 10 and counts["val"] + counts["gate"] == 20
    people = [f"{i:06d}.jpg {i // 5}" for i in range(1, 41)]
    (folder / "identity_CelebA.txt").write_text("\n".join(people))
    prepare("celeba", str(folder / CELEBA.name), str(tmp_path / "people"), limit=40, split="cut")
    roles = [ImageSet(str(tmp_path / "people"), role, tmp_path / "cache") for role in ROLES]
    assert len(set().union(*(r.sources for r in roles))) == sum(len(set(r.sources)) for r in roles) == 9


@needs_data
def test_imported_bytes_are_those_of_the_archive(tmp_path: Path) -> None:
    prepare("celeba", str(CELEBA), str(tmp_path / "out"), limit=20)
    with zipfile.ZipFile(CELEBA) as archive:
        for key, data in read_all(tmp_path / "out"):
            assert data == archive.read(f"img_align_celeba/{key}.jpg")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("celebb", "x", "y"), "no dataset 'celebb'; known: .*did you mean 'celeba'"),
        (("celeba", "", "y"), "--source is missing: img_align_celeba.zip"),
        (("celeba", "x", ""), "--out is missing"),
        (("celeba", "/nowhere.zip", "y"), "no folder or zip at /nowhere.zip"),
        (("folder", "/nowhere", "y"), "no folder or zip at /nowhere"),
    ],
)
def test_a_users_mistake_is_one_sentence(arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(*arguments)
