"""Pairs from two folders to batches: matched by name, measured, packed, cropped and turned together."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from helpers.archives import make_zip
from PIL import Image
from skimage import data as photographs

from datasets.config import DataConfig
from datasets.degrade import down
from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader, eval_pairs, eval_protocol
from datasets.manifest import Manifest
from datasets.pairs import PairOptions, bare_name
from datasets.prepare import prepare
from datasets.shard_reader import read_index

SCALE = 4


def shrunk(pixels: np.ndarray, scale: int = SCALE) -> np.ndarray:
    return down(torch.tensor(pixels).permute(2, 0, 1)[None], scale)[0].permute(1, 2, 0).numpy()


def tiles(count: int = 24, side: int = 192) -> list[np.ndarray]:
    """Parts of photographs, of three sizes."""
    pictures = (photographs.astronaut(), photographs.coffee())
    places = [(p, y, x) for p in pictures for y in range(0, 201, 100) for x in range(0, 301, 100)]
    return [p[y : y + side, x : x + side + 4 * (i % 3)] for i, (p, y, x) in enumerate(places[:count])]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pairs: two are shifted, two do not show one picture; and files that are no pair."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("HR/a", "LR/a"):
        (root / name).mkdir(parents=True)
    hrs = tiles()
    for i, hr in enumerate(hrs):
        lr_image = shrunk(np.roll(hr, 6, axis=1) if i in (3, 9) else hrs[2] if i == 5 else hr)
        lr_image = 255 - lr_image if i == 7 else lr_image  # a negative is another picture, too
        Image.fromarray(hr).save(root / "HR" / "a" / f"im{i:02d}.png")
        Image.fromarray(lr_image[:, : hr.shape[1] // 4]).save(root / "LR" / "a" / f"im{i:02d}_x4.bmp")
    Image.fromarray(hrs[0]).save(root / "HR" / "alone.png")
    (root / "LR" / "notes.txt").write_text("none")
    return root


Importer = Callable[..., Manifest]


def imported(folders: Path, out: Path, split: str = "cut", **options: object) -> Manifest:
    pairs = PairOptions(hr=str(folders / "HR"), lr=str(folders / "LR"), **options)  # type: ignore[arg-type]
    return prepare("pairs", "", str(out), split=split, pairs=pairs)


@pytest.fixture(scope="module")
def shards(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "mine"
    imported(folders, out)
    return out


def loader(shards: Path, cache: Path, **changes: object) -> TrainLoader:
    data = DataConfig(train=str(shards), **{"crop_px": 32, "batch_size": 8, **changes})  # type: ignore[arg-type]
    return TrainLoader(ImageSet(str(shards), "train", cache), data, SCALE, device="cpu")


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("0801x4.png", "0801"),
        ("set/tree_x4.jpg", "set/tree"),
        ("Canon_001_LR4.png", "Canon_001"),
        ("img_001_SRF_4_LR.png", "img_001"),
        ("baby-lr.tif", "baby"),
        ("x4.png", "x4"),
        ("color.png", "color"),
        ("pixel12.png", "pixel12"),
        ("box2.png", "box2"),
    ],
)
def test_marks_of_resolution_are_left_out_of_names(name: str, bare: str) -> None:
    assert bare_name(name) == bare


def test_what_is_left_out_is_listed_with_its_reason(shards: Path) -> None:
    rows = {r["name"]: r["reason"] for r in csv.DictReader(open(shards / "rejected.csv"))}
    assert set(rows) == {"a/im03.png", "a/im05.png", "a/im07.png", "a/im09.png", "alone.png", "notes.txt"}
    assert "shifted by 1.5" in rows["a/im03.png"] and "do not show one picture" in rows["a/im05.png"]
    assert rows["alone.png"] == "not read: no LR image of its name" and rows["notes.txt"] == "not read: .txt"
    measured = list(csv.DictReader(open(shards / "pairs.csv")))
    assert len(measured) == 20 and {row["shift_right_px"] for row in measured} <= {"0.00", "-0.00"}


def test_the_import_says_what_it_measured(folders: Path, tmp_path: Path) -> None:
    note = imported(folders, tmp_path / "out").notes["pairs"]
    assert note.startswith("24 pairs, 4 off by more than 1 px; shift 0.00 LR px at the median")
    kept = imported(folders, tmp_path / "all", keep_shifted=True)
    assert sum(split.count for split in kept.splits.values()) == 24 and kept.pairs_scale == 4


def test_webdataset_reads_a_pair_as_one_sample(shards: Path) -> None:
    (sample, *_) = webdataset.WebDataset(str(shards / "val-00000.tar"), shardshuffle=False)
    assert sample["hr.png"][:4] == b"\x89PNG" and sample["lr.bmp"][:2] == b"BM"


def test_equal_folders_give_equal_shards(folders: Path, shards: Path, tmp_path: Path) -> None:
    imported(folders, tmp_path / "again")
    for file in shards.glob("[a-z]*.*"):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("mode", ["cached", "streamed"])
def test_crops_mirrors_and_turns_are_those_of_both_images(shards: Path, tmp_path: Path, mode: str) -> None:
    """The LR images are HR shrunk, so away from the border a crop shrunk is the crop of the shrunk image.

    But for one grey level, since rows are shrunk before columns, and a turn exchanges them.
    """
    stream = loader(shards, tmp_path, mode=mode, rotate=True).batches()
    for batch in itertools.islice(stream, 4):
        again = down((batch.hr * 255).round().to(torch.uint8), SCALE)
        inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
        assert (again[inside] - (batch.lr_image * 255)[inside]).abs().max() < 1.1


def test_cached_and_streamed_crops_of_an_image_are_equal(shards: Path, tmp_path: Path) -> None:
    count = len(ImageSet(str(shards), "train", tmp_path))

    def crops(mode: str) -> dict[int, torch.Tensor]:
        batch = next(loader(shards, tmp_path, mode=mode, batch_size=count).batches())
        return {
            int(i): torch.cat([h.flatten(), x.flatten()])
            for i, h, x in zip(batch.indices, batch.hr, batch.lr_image, strict=True)
        }

    cached, streamed = crops("cached"), crops("streamed")
    assert cached.keys() == streamed.keys() and all(torch.equal(cached[i], streamed[i]) for i in cached)


@pytest.mark.parametrize("mode", ["cached", "streamed"])
def test_training_resumes_at_any_step_and_ranks_agree(shards: Path, tmp_path: Path, mode: str) -> None:
    whole = list(itertools.islice(loader(shards, tmp_path, mode=mode, rotate=True).batches(), 6))
    resumed = next(loader(shards, tmp_path, mode=mode, rotate=True).batches(5))
    assert torch.equal(whole[5].lr_image, resumed.lr_image) and torch.equal(whole[5].hr, resumed.hr)
    data = DataConfig(train=str(shards), crop_px=32, batch_size=8, mode=mode, rotate=True)
    images = ImageSet(str(shards), "train", tmp_path)
    ranks = [TrainLoader(images, data, SCALE, device="cpu", rank=r, world=2).batches(5) for r in (0, 1)]
    assert all(torch.equal(next(part).lr_image, whole[5].lr_image[r::2]) for r, part in enumerate(ranks))


def test_evaluation_uses_the_images_that_came(shards: Path, tmp_path: Path) -> None:
    images = open_images(str(shards), "val", work_dir=tmp_path)
    (pair, *_) = eval_pairs(images, DataConfig(), SCALE)
    assert np.array_equal(pair.lr_image, shrunk(pair.hr))
    (part, *_) = eval_pairs(images, DataConfig(eval_crop_px=48, eval_crop_at="key"), SCALE)
    assert part.hr.shape == (48, 48, 3) and part.lr_image.shape == (12, 12, 3)
    assert np.array_equal(part.lr_image[2:-2, 2:-2], shrunk(part.hr)[2:-2, 2:-2])
    with pytest.raises(UserError, match="eval_crop_px=50 must be a multiple of 4"):
        eval_pairs(images, DataConfig(eval_crop_px=50), SCALE)
    assert eval_protocol(images, DataConfig(degradation="pil"))["degradation"] == "shipped"


def test_scale_one_and_odd_sizes_are_pairs_too(tmp_path: Path) -> None:
    for i, hr in enumerate(tiles(8)):
        for name, pixels in (
            ("HR1", hr),
            ("LR1", hr),
            ("HR3", hr[:191]),
            ("LR3", shrunk(hr[:189, : hr.shape[1] // 3 * 3], 3)),
        ):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    for scale in (1, 3):
        hr, low = (str(tmp_path / f"{name}{scale}") for name in ("HR", "LR"))
        out = tmp_path / f"out{scale}"
        prepare("pairs", "", str(out), split="whole", pairs=PairOptions(hr=hr, lr=low, max_shift=2))
        images = ImageSet(str(out), "train", tmp_path)
        assert images.pairs_scale == scale and len(images) == 8
        batch = next(TrainLoader(images, DataConfig(crop_px=48), scale, device="cpu").batches())
        assert batch.lr_image.shape[-1] == 48 // scale
        assert {p.hr.shape[0] for p in eval_pairs(images, DataConfig(), scale)} == {
            192 if scale == 1 else 189
        }


def test_zips_are_folders_too(folders: Path, shards: Path, tmp_path: Path) -> None:
    for name in ("HR", "LR"):
        files = {
            p.relative_to(folders / name).as_posix(): p.read_bytes() for p in (folders / name).rglob("*.*")
        }
        make_zip(tmp_path / f"{name}.zip", files)
    pairs = PairOptions(hr=str(tmp_path / "HR.zip"), lr=str(tmp_path / "LR.zip"))
    manifest = prepare("pairs", "", str(tmp_path / "out"), pairs=pairs)
    rows = read_index(str(tmp_path / "out"), manifest, "train")
    assert rows == ImageSet(str(shards), "train", tmp_path).rows


def test_one_photograph_may_have_several_lr_images(tmp_path: Path) -> None:
    hrs = tiles(8)
    for i, hr in enumerate(hrs):
        for name, pixels in (("HR", hr), ("LR", shrunk(hr))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    Image.fromarray(hrs[0]).save(tmp_path / "HR" / "again.png")
    Image.fromarray(shrunk(hrs[0]) // 2 + 40).save(tmp_path / "LR" / "again.png")
    assert imported(tmp_path, tmp_path / "out", "whole").splits["all"].count == 9


BAD: dict[str, tuple[dict[str, object], str]] = {
    "no match": ({"lr": "none"}, "no image of .* has the name of one of none, such as"),
    "one folder": ({"lr": "HR"}, "--hr and --lr are both"),
    "other scale": ({"scale": 3}, "images were rejected .* is not 3 times its LR image"),
    "no shift": ({"max_shift": 0.0}, "--max-shift above 0"),
    "no lr": ({"lr": ""}, "pairs need --hr and --lr"),
}


@pytest.mark.parametrize("case", BAD)
def test_pairs_that_cannot_be_are_refused_in_a_sentence(folders: Path, tmp_path: Path, case: str) -> None:
    options, message = BAD[case]
    (folders / "none").mkdir(exist_ok=True)
    Image.fromarray(tiles(1)[0]).save(folders / "none" / "zebra.png")
    paths = {
        n: str(folders / str(v)) if v else ""
        for n, v in {"hr": "HR", "lr": "LR", **options}.items()
        if n in ("hr", "lr")
    }
    with pytest.raises(UserError, match=message):
        prepare("pairs", "", str(tmp_path / "out"), pairs=PairOptions(**{**options, **paths}))  # type: ignore[arg-type]


def test_settings_that_do_not_fit_pairs_are_refused(shards: Path, tmp_path: Path, folders: Path) -> None:
    images = ImageSet(str(shards), "train", tmp_path)
    with pytest.raises(UserError, match="are x4, but generator.scale is 2; set generator.scale 4"):
        TrainLoader(images, DataConfig(crop_px=32), 2, device="cpu")
    with pytest.raises(UserError, match="data.input=grey is made from HR images"):
        TrainLoader(images, DataConfig(crop_px=32, input="grey"), 4, device="cpu")
    with pytest.raises(UserError, match="upsweep prepare pairs --hr"):
        open_images(str(folders), "train", work_dir=tmp_path)
    with pytest.raises(UserError, match="are for pairs"):
        prepare("folder", str(folders), str(tmp_path / "out"), pairs=PairOptions(scale=2))


def test_a_role_that_loses_all_its_pairs_is_a_sentence(tmp_path: Path) -> None:
    for i, hr in enumerate(tiles(8)):
        for name, pixels in (("HR", hr), ("LR", shrunk(np.roll(hr, 8, axis=0)))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    with pytest.raises(UserError, match="no pair is left for .* shifted by (1.9|2.0).* --keep-shifted"):
        imported(tmp_path, tmp_path / "out")
