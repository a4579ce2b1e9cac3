"""Planted shifts are found, whatever else happened to the LR image; other pictures are told apart."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage import data

from datasets.alignment import Alignment, describe, measure
from datasets.degrade import down

MARGIN_PX = 8
SHIFTS = [(0.0, 0.0), (0.3, 0.0), (-1.06, 1.06), (2.4, -1.8)]


def pair(
    photograph: np.ndarray,
    scale: int,
    shift: tuple[float, float],
    noise: float = 0,
    blur: float = 0,
    jpeg: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """HR, and an LR image whose content lies `shift` (right, down) LR pixels further."""
    far = (shift[1] * scale, shift[0] * scale, 0)
    moved = ndimage.shift(photograph.astype(float), far, order=3, mode="mirror")
    moved = ndimage.gaussian_filter(moved, (blur * scale, blur * scale, 0))
    inside = slice(MARGIN_PX * scale, -MARGIN_PX * scale)
    pixels = torch.from_numpy((moved[inside, inside] + 0.5).clip(0, 255).astype(np.uint8))
    small = down(pixels.permute(2, 0, 1)[None].contiguous(), scale)[0].permute(1, 2, 0).numpy()
    small = (
        (small + np.random.default_rng(0).normal(0, noise, small.shape) + 0.5).clip(0, 255).astype(np.uint8)
    )
    if jpeg:
        buffer = io.BytesIO()
        Image.fromarray(small).save(buffer, "JPEG", quality=jpeg)
        small = np.asarray(Image.open(buffer))
    return photograph[inside, inside], small


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(
    ("harm", "error_px"), [({}, 0.03), ({"noise": 10}, 0.05), ({"jpeg": 30}, 0.05), ({"blur": 1.5}, 0.2)]
)
def test_a_planted_shift_is_found(
    scale: int, shift: tuple[float, float], harm: dict[str, float], error_px: float
) -> None:
    measured = measure(
        *pair(data.coffee()[100 : 100 + 56 * scale + 64, : 72 * scale + 64], scale, shift, **harm), scale
    )  # type: ignore[arg-type]
    assert np.hypot(measured.right - shift[0], measured.down - shift[1]) < error_px
    assert measured.is_same_picture and abs(measured.shift - np.hypot(*shift)) < error_px


def test_contrast_and_colour_are_measured_apart_from_the_shift() -> None:
    hr, lr_image = pair(data.astronaut(), 4, (0.5, 0.0))
    dull = measure(hr, (lr_image * 0.8 + 20).astype(np.uint8), 4)
    assert abs(dull.gain - 0.8) < 0.02 and abs(dull.right - 0.5) < 0.03
    blue = measure(hr, (lr_image * np.array([1, 1, 0]) + np.array([0, 0, 15])).astype(np.uint8), 4)
    level = (
        lr_image[..., 2].mean() - 15
    )  # what blue lost; two thirds of it are above the mean of the channels
    assert abs(blue.cast - level * 2 / 3) < 1 and abs(blue.right - 0.5) < 0.05


def test_another_picture_and_an_empty_one_are_known() -> None:
    hr, lr_image = pair(data.astronaut(), 4, (0, 0))
    other = pair(data.coffee()[:400, :512], 4, (0, 0))[1]
    height, width = other.shape[:2]
    assert not measure(hr[: height * 4, : width * 4], other, 4).is_same_picture
    grey = np.full_like(lr_image, 90)
    empty = measure(np.full_like(hr, 90), grey, 4)
    assert empty.shift == 0 and empty.is_same_picture and empty.row()[:2] == ("", "")


def test_pairs_are_summed_up_in_a_sentence() -> None:
    rows = [Alignment(0.3, 0.4, 0.01, gain, 1.0, 0.9).row() for gain in (0.9, 1.1)]
    rows.append(Alignment(0, 0, np.inf, 1, 0, 0).row())
    assert describe(rows) == (
        "shift 0.50 LR px at the median and 0.50 at most, 1 without edges, contrast 0.90 to 1.10 of HR, "
        "colour cast up to 1.0 grey levels"
    )
