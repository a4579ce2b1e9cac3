"""The order of images, crops and flips."""

import numpy as np
import pytest

from datasets.sampling import batch_indices, crop_positions, eval_position, flips, permutation, stream_order


def test_places_decided_by_keys_cover_the_image_evenly() -> None:
    places = np.array([eval_position(f"{i:06d}", 9, 4, "key") for i in range(4000)])
    assert np.bincount(places[:, 0]).tolist() == pytest.approx([400] * 10, rel=0.2)
    assert np.bincount(places[:, 1]).tolist() == pytest.approx([800] * 5, rel=0.2)


def test_images_are_mixed_beyond_their_shard() -> None:
    read, used = stream_order([10] * 8, 0, 0, together=4, buffer=40)
    assert sorted(read) == sorted(used) == list(range(80))
    assert len({i // 10 for i in used[:10]}) >= 3


def test_orders_and_crops_never_change() -> None:
    """A changed value here gives every resumed run other data."""
    assert permutation(8, 3, 1).tolist() == [7, 0, 5, 6, 4, 3, 2, 1]
    assert permutation(8, 3, 2).tolist() == [3, 6, 7, 2, 5, 0, 4, 1]
    assert [part.tolist() for part in batch_indices(5, 0, 1, 4)] == [[0, 2, 4, 1], [0, 1, 1, 1]]
    epochs, indices = np.zeros(6, dtype=np.int64), np.arange(6)
    tops, lefts = crop_positions(1, epochs, indices, np.full((6, 2), 40), 32)
    assert tops.tolist() == [2, 4, 2, 6, 2, 6] and lefts.tolist() == [7, 1, 1, 0, 4, 7]
    assert flips(1, epochs, indices).tolist() == [False, True, False, False, True, False]
    assert eval_position("000001", 9, 4, "key") == (2, 4) and eval_position("000001", 9, 4, "centre") == (
        4,
        2,
    )
    read, used = stream_order([2, 3, 1], 0, 0, together=2, buffer=4)
    assert read.tolist() == [2, 5, 3, 4, 0, 1] and used.tolist() == [2, 4, 3, 5, 1, 0]
