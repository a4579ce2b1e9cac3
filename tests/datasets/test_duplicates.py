"""Near duplicates: the banded search equals comparing all pairs; edits are found, look-alikes are not."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets import codec
from datasets.duplicates import near_pairs, same_pictures
from datasets.manifest import IndexRow


def row(pixels: np.ndarray) -> IndexRow:
    dhash = f"{codec.difference_hash(pixels):016x}"
    hashes = {"dhash": dhash, "thumb": codec.thumbnail(pixels).hex(), "bytes_sha256": "", "pixel_sha256": ""}
    return IndexRow(key="k", source="s", ext="png", n_bytes=0, width=0, height=0, mode="RGB", **hashes)


def scene(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((96, 96), Image.Resampling.BICUBIC))


def test_the_banded_search_equals_all_pairs() -> None:
    noise = np.random.default_rng(0)
    a = noise.integers(0, 2**64, 200, dtype=np.uint64)
    b = a[noise.integers(0, 200, 300)].copy()
    for j in range(300):
        for bit in noise.choice(64, j % 7, replace=False):  # 0 to 6 bits differ
            b[j] ^= np.uint64(1) << np.uint64(bit)
    expected = [(i, j) for i in range(200) for j in range(300) if (int(a[i]) ^ int(b[j])).bit_count() <= 4]
    assert near_pairs(a.tolist(), b.tolist()) == expected


@pytest.mark.parametrize("quality, side", [(95, 96), (50, 96), (30, 64)])
def test_a_recompressed_or_scaled_copy_is_found(quality: int, side: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene(1)).resize((side, side)).save(buffer, "JPEG", quality=quality)
    assert same_pictures([row(scene(1))], [row(codec.decode(buffer.getvalue()))]) == [(0, 0)]


def test_other_pictures_are_not() -> None:
    rows = [row(scene(seed)) for seed in range(100)]
    assert same_pictures(rows, rows) == [(i, i) for i in range(100)]


def test_equal_outlines_in_other_colours_are_not_one_picture() -> None:
    # The dHash sees only which neighbour is brighter: these two agree in all 64 bits.
    dark, light = scene(2) // 2, scene(2) // 2 + 100
    assert near_pairs([codec.difference_hash(dark)], [codec.difference_hash(light)]) == [(0, 0)]
    assert same_pictures([row(dark)], [row(light)]) == []
