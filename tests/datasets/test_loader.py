"""Batches are a pure function of (order seed, step); roles and sizes are guarded."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.archives import photographs

from datasets.config import DataConfig
from datasets.degrade import down
from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader, eval_pairs, eval_protocol
from datasets.sampling import eval_position

DATA = DataConfig(crop_px=32, batch_size=8)


@pytest.fixture(scope="session")
def demo(work: Path) -> ImageSet:
    return open_images("demo", "train", work_dir=work)


def loader(images: ImageSet, **changes: object) -> TrainLoader:
    rank, world = int(changes.pop("rank", 0)), int(changes.pop("world", 1))  # type: ignore[call-overload]
    data = DataConfig(**{**vars(DATA), **changes})  # type: ignore[arg-type]
    return TrainLoader(images, data, 4, device="cpu", rank=rank, world=world)


def test_a_batch_has_range_shape_and_the_matching_input(demo: ImageSet) -> None:
    batch = next(loader(demo).batches())
    assert batch.hr.shape == (8, 3, 32, 32) and batch.lr_image.shape == (8, 3, 8, 8)
    assert batch.hr.dtype == torch.float32 and 0 <= batch.hr.min() and batch.hr.max() <= 1
    again = down((batch.hr * 255).round().to(torch.uint8), 4)
    assert torch.equal(again.float() / 255, batch.lr_image)


def test_crops_come_from_the_images_named(demo: ImageSet) -> None:
    batch = next(loader(demo, crop_px=128, flip=False).batches())
    for hr, index in zip(batch.hr, batch.indices, strict=True):
        assert torch.equal((hr * 255).round().to(torch.uint8), torch.tensor(demo[index]).permute(2, 0, 1))


def test_crops_are_those_of_the_images_whatever_their_sizes(
    work: Path, demo: ImageSet, tmp_path: Path
) -> None:
    folder = photographs(tmp_path / "p", 4, side=40)
    photographs(tmp_path / "q", 4, side=56, seed=9)
    for i, file in enumerate((tmp_path / "q").iterdir()):
        file.rename(folder / f"larger{i}.png")
    varied = open_images(str(folder), "val", work_dir=work)
    for images in (demo, varied):
        picks, tops, lefts = np.array([3, 0, 2, 7]), np.array([0, 5, 8, 1]), np.array([8, 0, 3, 4])
        crops = images.pixels.crops(picks, tops, lefts, 32)
        for crop, i, top, left in zip(crops, picks, tops, lefts, strict=True):
            assert np.array_equal(crop, images[i][top : top + 32, left : left + 32])


def test_starting_at_step_five_equals_running_there(demo: ImageSet) -> None:
    straight = list(itertools.islice(loader(demo).batches(), 7))
    resumed = list(itertools.islice(loader(demo).batches(5), 2))
    for a, b in zip(straight[5:], resumed, strict=True):
        assert torch.equal(a.hr, b.hr) and torch.equal(a.lr_image, b.lr_image)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_see_the_same_global_batch(demo: ImageSet, world: int) -> None:
    whole = next(loader(demo).batches(3))
    parts = [next(loader(demo, rank=r, world=world).batches(3)) for r in range(world)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.hr, whole.hr[rank::world])


def test_an_epoch_shows_every_image_once(demo: ImageSet) -> None:
    first, second = itertools.islice(loader(demo, batch_size=len(demo)).batches(), 2)
    assert sorted(first.indices) == sorted(second.indices) == list(range(len(demo)))
    assert not np.array_equal(first.indices, second.indices)


def test_the_order_seed_alone_decides(demo: ImageSet) -> None:
    first, same, other = (next(loader(demo, order_seed=s).batches()) for s in (1, 1, 2))
    assert torch.equal(first.hr, same.hr) and not torch.equal(first.hr, other.hr)


def test_training_on_another_role_is_refused(work: Path) -> None:
    with pytest.raises(UserError, match="reads the train role only, but got demo opened for val"):
        loader(open_images("demo", "val", work_dir=work))


def test_a_crop_larger_than_an_image_is_refused(demo: ImageSet) -> None:
    with pytest.raises(UserError, match="data.crop_px=160 is larger than the smallest image of demo"):
        loader(demo, crop_px=160)


def test_a_batch_that_ranks_cannot_share_is_refused(demo: ImageSet) -> None:
    with pytest.raises(UserError, match="data.batch_size=8 must be a multiple of the 3 ranks"):
        loader(demo, world=3)


def test_pairs_are_sorted_cropped_and_limited(work: Path, tmp_path: Path) -> None:
    images = open_images(str(photographs(tmp_path / "p", 5)), "test", work_dir=work)
    pairs = eval_pairs(images, DataConfig(), 4, limit=3)
    assert [p.key for p in pairs] == sorted(images.keys)[:3]
    assert pairs[1].hr.shape == (48, 48, 3) and pairs[1].lr_image.shape == (12, 12, 3)
    (centre,) = eval_pairs(images, DataConfig(eval_crop_px=16), 4, limit=1)
    assert np.array_equal(centre.hr, images[0][16:32, 16:32])
    at_key = DataConfig(eval_crop_px=16, eval_crop_at="key")
    (once,) = eval_pairs(images, at_key, 4, limit=1)
    (again,) = eval_pairs(images, dataclasses.replace(at_key, order_seed=7), 4, limit=1)
    top, left = eval_position(once.key, 32, 32, "key")
    assert np.array_equal(once.hr, again.hr)
    assert np.array_equal(once.hr, images[0][top : top + 16, left : left + 16])
    with pytest.raises(UserError, match="data.eval_crop_px=64 is larger than image photo_0_v1"):
        eval_pairs(images, DataConfig(eval_crop_px=64), 4)


def test_the_protocol_names_all_that_decides_what_is_measured(work: Path, tmp_path: Path) -> None:
    images = open_images(str(photographs(tmp_path / "p", 5)), "test", work_dir=work)
    whole = eval_protocol(images, DataConfig())
    assert whole == {"degradation": "matlab", "images": images.digest}
    changes = (
        {"degradation": "pil"},
        {"input": "grey"},
        {"input": "edges"},
        {"input": "edges", "canny_sigma": 2.0},
        {"eval_crop_px": 16},
        {"eval_crop_px": 16, "eval_crop_at": "key"},
    )
    told = [str(eval_protocol(images, DataConfig(**values))) for values in ({}, *changes)]
    assert len(set(told)) == len(told)
