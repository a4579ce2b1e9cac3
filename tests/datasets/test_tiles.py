"""Tiles: their offsets, their pixels, and which of them are left out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.codec import decode
from datasets.errors import Rejected
from datasets.sources import FolderSource
from datasets.tiles import TiledSource, contrast, evenly, starts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    pixels[:20] = 128  # flat: empty sky
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path


def test_only_tiles_that_fit_completely_count() -> None:
    assert list(starts(52, 20, 16)) == [0, 16, 32] and list(starts(51, 20, 16)) == [0, 16]
    assert list(starts(19, 20, 16)) == []


def test_a_choice_is_spread_evenly() -> None:
    assert evenly(range(10), 4) == [0, 2, 5, 7] and evenly(range(3), 4) == evenly(range(3), 0) == [0, 1, 2]


def test_contrast_is_the_deviation_of_the_mean_of_the_channels() -> None:
    tile = np.zeros((8, 8, 3), dtype=np.uint8)
    assert contrast(tile) == 0
    tile[:, 4:] = 20
    assert contrast(tile) == 10


def test_a_tile_is_the_square_that_its_key_names(folder: Path) -> None:
    tiles = TiledSource(FolderSource(folder), tile_px=20, stride_px=16)
    members = tiles.members()
    assert [m.key for m in members][:4] == ["a-y0000x0000", "a-y0000x0016", "a-y0000x0032", "a-y0016x0000"]
    assert {m.photograph for m in members} == {"a"} and len(members) == 6
    whole = np.asarray(Image.open(folder / "a.png"))
    assert np.array_equal(decode(tiles.read(members[4])), whole[16:36, 16:36])


def test_flat_tiles_are_left_out_before_the_limit(folder: Path) -> None:
    tiles = TiledSource(FolderSource(folder), tile_px=20, stride_px=16, min_contrast=6.0)
    assert [m.key[1:7] for m in tiles.members()] == ["-y0016"] * 3
    limited = TiledSource(FolderSource(folder), tile_px=20, stride_px=16, min_contrast=6.0, limit=2)
    assert [m.key for m in limited.members()] == ["a-y0016x0000", "a-y0016x0016"]
    assert limited.fingerprint() != tiles.fingerprint()


def test_a_broken_photograph_keeps_its_name_to_be_rejected(folder: Path) -> None:
    (folder / "b.png").write_bytes(b"broken")
    tiles = TiledSource(FolderSource(folder), tile_px=20, stride_px=16)
    broken = tiles.members()[-1]
    assert broken.name == "b.png" and tiles.read(broken) == b"broken"
    with pytest.raises(Rejected):
        decode(tiles.read(broken))
