"""Streamed training data: an order that is a function of the counts, exact resume, the same for all ranks."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.loader import TrainLoader
from datasets.shard_writer import PackSettings, pack
from datasets.shuffle_buffer import buffer_size, stream
from datasets.sources import FolderSource
from datasets.validate import SplitSource

IMAGES = 45
DATA = DataConfig(crop_px=16, batch_size=4, mode="streamed")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    root = tmp_path_factory.mktemp("streamed")
    (root / "photos").mkdir()
    for i in range(IMAGES):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"{i:03d}.{'jpg' if i % 2 else 'png'}")
    source = FolderSource(root / "photos")
    parts = {"train": SplitSource(source, source.members())}
    pack(root / "shards", "t", parts, PackSettings(images_per_shard=4))
    return ImageSet(str(root / "shards"), "train", root / "cache")


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.shuffle_buffer.BUFFER_IMAGES", 16)


def loader(images: ImageSet, rank: int = 0, world: int = 1, **changes: object) -> TrainLoader:
    data = DataConfig(**{**vars(DATA), **changes})  # type: ignore[arg-type]
    return TrainLoader(images, data, 4, device="cpu", rank=rank, world=world)


def indices(images: ImageSet, seed: int, start: int, stop: int) -> list[int]:
    return [s.index for s in itertools.islice(stream(images, seed, start), stop - start)]


def test_every_epoch_shows_each_image_once_in_another_order(images: ImageSet) -> None:
    first, second = (indices(images, 0, e * IMAGES, (e + 1) * IMAGES) for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(IMAGES))
    assert first != second and first != sorted(first)


def test_the_seed_alone_decides(images: ImageSet) -> None:
    assert indices(images, 3, 0, 60) == indices(images, 3, 0, 60) != indices(images, 4, 0, 60)


@pytest.mark.parametrize("start", [0, 1, 7, 16, 17, 31, 44, 45, 46, 100])
def test_resuming_at_any_position_continues_with_the_next_sample(images: ImageSet, start: int) -> None:
    assert indices(images, 5, start, 120) == indices(images, 5, 0, 120)[start:]


def test_samples_carry_the_bytes_of_their_index(images: ImageSet) -> None:
    folder = Path(images.location).parent / "photos"
    for sample in itertools.islice(stream(images, 0, 10), 40):
        row = images.rows[sample.index]
        assert sample.files[0] == (folder / f"{row.key}.{row.ext}").read_bytes()


@pytest.mark.parametrize("step", [0, 3, 11, 12, 25])
def test_batches_resume_exactly(images: ImageSet, step: int) -> None:
    straight = list(itertools.islice(loader(images).batches(), step + 2))[step:]
    for a, b in zip(straight, loader(images).batches(step), strict=False):
        assert torch.equal(a.hr, b.hr) and torch.equal(a.lr_image, b.lr_image)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_global_batch_though_shards_do_not_divide(images: ImageSet, world: int) -> None:
    whole = list(itertools.islice(loader(images).batches(), 14))
    for rank in range(world):
        part = list(itertools.islice(loader(images, rank, world).batches(), 14))
        assert all(torch.equal(p.hr, w.hr[rank::world]) for p, w in zip(part, whole, strict=True))


def test_a_crop_is_the_same_in_both_modes(images: ImageSet) -> None:
    streamed = next(loader(images).batches())
    epochs = np.zeros(4, dtype=np.int64)
    cached = loader(images, mode="cached")
    pixels = images.pixels.crops(streamed.indices, *cached._crop_positions(streamed.indices, epochs), 16)
    assert torch.equal(cached._batch(cached._crops(pixels, None, epochs, streamed.indices)).hr, streamed.hr)


def test_large_images_make_a_small_buffer(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.shuffle_buffer.BUFFER_IMAGES", 2048)
    monkeypatch.setattr("datasets.shuffle_buffer.BUFFER_BYTES", 20 * images.rows[0].n_bytes)
    assert 16 <= buffer_size(images) < 40


def test_a_damaged_shard_stops_training(images: ImageSet, tmp_path: Path) -> None:
    copy = tmp_path / "shards"
    copy.mkdir()
    for file in Path(images.location).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    tar = copy / "train-00003.tar"
    tar.write_bytes(tar.read_bytes()[: 512 * 4])
    damaged = ImageSet(str(copy), "train", tmp_path)
    with pytest.raises(UserError, match="train-00003.tar (gave|is damaged|has 2048 bytes, but)"):
        list(itertools.islice(loader(damaged).batches(), 12))
