"""Edits that cost nothing: sharpened and noisy images, at the strength that serves them best."""

import numpy as np

from trainers.sentinels import STRENGTHS, edit


def ramp():
    return np.repeat(np.repeat(np.array([[60, 60, 180, 180]], np.uint8), 4, 1), 8, 0)[..., None].repeat(3, 2)


def test_an_unsharp_mask_steepens_edges_and_leaves_flat_areas():
    (sharp,) = edit("sharpened", 1.0, [ramp()])
    assert sharp[0, 0, 0] == 60 and sharp[0, -1, 0] == 180
    assert sharp[0, 7, 0] < 60 and sharp[0, 8, 0] > 180
    assert edit("sharpened", 0.0, [ramp()])[0].tolist() == ramp().tolist()


def test_noise_has_its_deviation_and_depends_on_the_place_alone():
    grey = np.full((64, 64, 3), 128, np.uint8)
    first, second = edit("noisy", 4.0, [grey, grey])
    assert abs(np.std(first.astype(float)) - 4.0) < 0.2 and (first != second).any()
    assert (edit("noisy", 4.0, [grey])[0] == first).all()


def test_grey_images_are_edited_too():
    for name, strengths in STRENGTHS.items():
        assert edit(name, strengths[-1], [ramp()[..., 0]])[0].shape == (8, 16)
