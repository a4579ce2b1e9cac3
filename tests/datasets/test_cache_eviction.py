"""The size limit of a machine's cache: the longest unused goes, nothing in use does."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.cache_eviction import META, evict
from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.prepare import prepare

ONE_SET = 6 * 32 * 32 * 3


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    found = []
    for k in range(3):
        photos = tmp_path / f"photos{k}"
        photos.mkdir()
        for i in range(6):
            pixels = np.random.default_rng(10 * k + i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / f"{i}.png")
        prepare("folder", str(photos), str(tmp_path / f"shards{k}"), split="whole")
        found.append(str(tmp_path / f"shards{k}"))
    return found


def entries(cache: Path) -> int:
    return len(list(cache.glob(f"*/{META}")))


def test_the_longest_unused_goes_and_is_built_again(folders: list[str], tmp_path: Path) -> None:
    cache, limit_gb = tmp_path / "cache", 2.5 * ONE_SET / 1e9
    for age, folder in enumerate(folders):
        images = ImageSet(folder, "test", cache, limit_gb)
        images[0]
        entry = cache / Path(images.pixels.in_use.name).parent.name / META
        os.utime(entry, (age, age))
        images.pixels.in_use.close()
    assert entries(cache) == 2
    first = ImageSet(folders[0], "test", cache, limit_gb)
    assert first[0].shape == (32, 32, 3) and entries(cache) == 2


def test_nothing_in_use_is_deleted(folders: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    held = ImageSet(folders[0], "test", cache)
    before = held[0].copy()
    evict(cache, 0)
    assert entries(cache) == 1 and np.array_equal(held[0], before)
    held.pixels.in_use.close()
    evict(cache, 0)
    assert entries(cache) == 0 and not list(cache.glob(".evicted*"))


def test_a_set_larger_than_the_limit_is_refused(folders: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data.cache_gb=.* is too small for .* set data.mode streamed"):
        ImageSet(folders[0], "test", tmp_path / "cache", ONE_SET / 2e9)[0]


def test_fetched_shards_count_and_go_too(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for name, age in (("a" * 64, 1), ("b" * 64, 2)):
        path = tmp_path / "shards" / name
        path.write_bytes(bytes(100))
        os.utime(path, (age, age))
    (tmp_path / "shards" / "c.lock").touch()
    evict(tmp_path, 150)
    assert sorted(p.name[0] for p in (tmp_path / "shards").iterdir()) == ["b", "c"]
