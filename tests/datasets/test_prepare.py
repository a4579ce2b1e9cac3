"""Official archives in their own layouts, rebuilt small: LSUN's LMDB in a zip, DIV2K, FFHQ, selfie2anime."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import old_import
from helpers.archives import counts, lsun_images, lsun_zip, make_zip, photographs, picture
from helpers.paths import DATA
from PIL import Image

from datasets import sampling, splits
from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import ImageSet, disjoint, open_images
from datasets.loader import TrainLoader, eval_pairs
from datasets.prepare import import_once, prepare, prepare_study_set
from datasets.shard_writer import PackSettings, pack
from datasets.sources import ArchiveMember, FolderSource
from datasets.validate import SplitSource

needs_data = pytest.mark.skipif(not (DATA / "Set5").is_dir(), reason=f"no test images at {DATA}")


def test_the_matrix_split_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--split matrix needs 202,599 images, but there are 8"):
        prepare("lsun_tower", str(lsun_zip(tmp_path, lsun_images(8))), str(tmp_path / "o"))


def test_named_splits_have_their_published_sizes() -> None:
    members = [ArchiveMember(f"{i:06d}", f"{i:06d}.jpg", f"{i:06d}") for i in range(202_599)]
    matrix = splits.split_by_sizes(members, "matrix")
    assert len(matrix["test"]) == 2_599
    assert sum(len(matrix[role]) for role in ("train", "val", "gate")) == 200_000
    upsampling = splits.split_by_sizes(members[:5_000], "upsampling")
    assert [len(upsampling[role]) for role in ("train", "val", "test")] == [2_000, 250, 250]
    for roles in (matrix, upsampling):
        keys = [m.key for chosen in roles.values() for m in chosen]
        assert len(keys) == len(set(keys))


def test_a_cut_keeps_tiles_of_one_photograph_together() -> None:
    members = [ArchiveMember(f"{p}-{t}", "", str(p)) for p in range(30) for t in range(5)]
    roles = splits.split_by_share(members)
    homes = {role: {m.photograph for m in chosen} for role, chosen in roles.items()}
    assert sum(map(len, homes.values())) == 30 == len(set.union(*homes.values()))


def test_div2k_is_tiled_for_training_and_whole_for_the_test(tmp_path: Path) -> None:
    train = {f"DIV2K_train_HR/{i:04d}.png": picture(i, 520) for i in range(1, 7)}
    make_zip(tmp_path / "DIV2K_train_HR.zip", train)
    valid = {f"DIV2K_valid_HR/{i:04d}.png": picture(i, 300) for i in range(801, 803)}
    make_zip(tmp_path / "DIV2K_valid_HR.zip", valid)
    assert counts("div2k", tmp_path, tmp_path / "o") == {"val": 4, "gate": 4, "train": 16, "test": 2}
    images = ImageSet(str(tmp_path / "o"), "train", tmp_path / "cache")
    tile = images.rows[images.keys.index(next(k for k in images.keys if k.endswith("y0256x0256")))]
    whole = np.asarray(Image.open(io.BytesIO(train[f"DIV2K_train_HR/{tile.source[-4:]}.png"])))
    assert np.array_equal(images[images.keys.index(tile.key)], whole[256:512, 256:512])
    assert ImageSet(str(tmp_path / "o"), "test", tmp_path).min_side == 300
    roles = [ImageSet(str(tmp_path / "o"), r, tmp_path) for r in ("train", "val", "gate")]
    assert len({s for images in roles for s in set(images.sources)}) == 6


def test_div2k_without_its_validation_half_says_so(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "DIV2K_train_HR.zip", {f"{i:04d}.png": picture(i, 300) for i in range(1, 6)})
    with pytest.raises(UserError, match="no DIV2K_valid_HR.zip .*or use --split cut"):
        prepare("div2k", str(path), str(tmp_path / "o"))
    assert sum(counts("div2k", path, tmp_path / "o", split="cut").values()) == 5


def test_a_broken_div2k_photograph_is_rejected_by_name(tmp_path: Path) -> None:
    files = {f"{i:04d}.png": picture(i, 300) for i in range(1, 6)} | {"0006.png": b"\x89PNG broken"}
    path = make_zip(tmp_path / "DIV2K_train_HR.zip", files)
    counts("div2k", path, tmp_path / "o", split="cut", max_rejected=0.3)
    assert "0006.png" in (tmp_path / "o" / "rejected.csv").read_text()


def test_ffhq_keeps_its_official_test_images(tmp_path: Path) -> None:
    files = {f"thumbnails128x128/{i // 1000 * 1000:05d}/{i:05d}.png": picture(i) for i in range(5)}
    files |= {f"thumbnails128x128/60000/{i:05d}.png": picture(i) for i in range(60_000, 60_003)}
    path = make_zip(tmp_path / "thumbnails128x128.zip", files)
    assert counts("ffhq", path, tmp_path / "o") == {"val": 1, "gate": 1, "train": 3, "test": 3}


def test_selfie2anime_uses_the_anime_half(tmp_path: Path) -> None:
    names = [f"{half}/{i}.jpg" for half in ("trainA", "trainB", "testA", "testB") for i in range(4)]
    files = {name: picture(k, kind="JPEG") for k, name in enumerate(names)}
    path = make_zip(tmp_path / "selfie2anime.zip", files)
    assert counts("selfie2anime", path, tmp_path / "o") == {"val": 1, "gate": 1, "train": 2, "test": 4}
    keys = ImageSet(str(tmp_path / "o"), "test", tmp_path).keys
    assert all(key.startswith("testB") for key in keys)


def test_an_unknown_split_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no split of set5 called 'cut'; known: whole"):
        prepare("set5", str(tmp_path), str(tmp_path / "o"), split="cut")


@needs_data
def test_set5_serves_any_role_whole_with_matlabs_input(tmp_path: Path) -> None:
    prepare("set5", str(DATA / "Set5" / "matlab_LR" / "HR"), str(tmp_path / "datasets" / "set5"))
    images = open_images("set5", "test", work_dir=tmp_path)
    for pair in eval_pairs(images, DataConfig(), 4):
        expected = np.asarray(Image.open(DATA / "Set5" / "matlab_LR" / "X4" / f"{pair.key}x4.png"))
        assert np.array_equal(pair.lr_image, expected)


@needs_data
@pytest.mark.slow
def test_real_rooms_and_faces_from_archive_to_cache(tmp_path: Path) -> None:
    for name in ("kitchen", "frontal"):
        with zipfile.ZipFile(DATA / f"houses_{name}.zip") as archive:
            files = {n: archive.read(n) for n in archive.namelist() if n.endswith(".jpg")}
        folder = tmp_path / name
        folder.mkdir()
        path = lsun_zip(folder, {f"{i:040x}".encode(): data for i, data in enumerate(files.values())})
        prepare("lsun_tower", str(path), str(folder / "o"), split="cut")
        sets = [
            ImageSet(str(folder / "o"), role, tmp_path / "c") for role in ("train", "val", "test", "gate")
        ]
        for images in sets:
            for i in range(0, len(images), 7):
                source = files[list(files)[int(images.keys[i], 16)]]
                assert np.array_equal(images[i], np.asarray(Image.open(io.BytesIO(source)).convert("RGB")))
        for held_out in sets[1:]:
            disjoint(sets[0], held_out)
        streamed_crops_are_cut_from(sets[0])
    faces = DATA / "celeba_half" / "img_align_celeba.zip"
    prepare("celeba", str(faces), str(tmp_path / "faces"), limit=400)
    images = ImageSet(str(tmp_path / "faces"), "train", tmp_path / "c")
    with zipfile.ZipFile(faces) as archive:
        for i in range(0, len(images), 7):
            source = archive.read(f"img_align_celeba/{images.keys[i]}.jpg")
            assert np.array_equal(images[i], np.asarray(Image.open(io.BytesIO(source)).convert("RGB")))
    streamed_crops_are_cut_from(images)


def streamed_crops_are_cut_from(images: ImageSet) -> None:
    side = images.min_side // 8 * 4
    data = DataConfig(crop_px=side, batch_size=16, mode="streamed", flip=False)
    batch = next(TrainLoader(images, data, 4, device="cpu").batches())
    sizes = np.array([images[i].shape[:2] for i in batch.indices])
    tops, lefts = sampling.crop_positions(0, np.zeros(16, dtype=np.int64), batch.indices, sizes, side)
    for hr, i, top, left in zip(batch.hr, batch.indices, tops, lefts, strict=True):
        crop = (hr * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert np.array_equal(crop, images[i][top : top + side, left : left + side])


def test_an_old_import_is_found_and_not_repeated(tmp_path: Path) -> None:
    photos = old_import.write_photos(tmp_path / "photos")
    shards = old_import.write_shards(tmp_path / "work" / "datasets" / "e562794c8f73a255-whole")
    (shards / "all-00000.tar").unlink()
    assert import_once(str(photos), "whole", tmp_path / "work", "data.test") == str(shards)
    source = FolderSource(photos)
    manifest = pack(shards, "t", {"all": SplitSource(source, source.members())}, PackSettings())
    assert manifest.to_json() == old_import.MANIFEST, "an import with an old import.json counts as finished"


def test_a_misspelt_folder_is_told_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"no folder, zip, .* for --train .*; did you mean '.*/photos'\?$"):
        import_once(str(tmp_path / "phtos"), "cut", tmp_path, "--train")
    with pytest.raises(UserError, match=r"no folder, zip, .*selfie2anime, set14, set5, t91, urban100$"):
        import_once(str(tmp_path / "nowhere" / "phtos"), "cut", tmp_path, "--train")


def test_a_study_set_is_cut_to_exact_sizes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(splits.STUDIES, "miniature", {"test": 2, "val": 1, "train": 3})
    photos = photographs(tmp_path / "photos", 8)
    place = prepare_study_set(str(photos), "miniature", tmp_path)
    assert place.endswith("-miniature") and prepare_study_set(place, "miniature", tmp_path) == place
    assert [len(ImageSet(place, role, tmp_path)) for role in ("test", "val", "train")] == [2, 1, 3]
    assert prepare_study_set(str(photos), "", tmp_path) == str(photos)
    assert prepare_study_set("demo", "miniature", tmp_path) == "demo"
    monkeypatch.setitem(splits.STUDIES, "matrix", {"test": 9})
    with pytest.raises(UserError, match="photos has 8 images, but this study cuts each set into 9 test; use"):
        prepare_study_set(str(photos), "matrix", tmp_path)


@pytest.mark.parametrize(
    "spec, split, message",
    [
        ("celeba", "matrix", "--data=celeba is not prepared in .*--out .*celeba --split matrix$"),
        ("set5", "", "--data=set5 is not prepared in .*--out .*set5$"),
        ("clebea", "matrix", "no folder, zip, shard folder or dataset for --data 'clebea'; known"),
    ],
)
def test_a_study_set_that_cannot_be_read_says_why(
    tmp_path: Path, spec: str, split: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepare_study_set(spec, split, tmp_path)
