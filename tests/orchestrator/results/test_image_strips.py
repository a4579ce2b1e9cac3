"""The picture that people compare: its columns, its rows, and the crops in it."""

import io

import numpy as np
import torch
from PIL import Image

from datasets.loader import Pair
from orchestrator.results.image_strips import CELL_PX, LABEL_PX, draw

CPU = torch.device("cpu")


def pair(level, detail):
    """A flat pair of one grey, with a pattern of that height in its target."""
    hr = np.full((32, 48, 3), level, np.uint8)
    hr[::2] += np.uint8(detail)
    return Pair("", hr, np.full((8, 12, 3), level, np.uint8))


class Constant(torch.nn.Module):
    """A network whose every pixel has one value, which may be out of range."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, lr_image):
        n, _, h, w = lr_image.shape
        return torch.full((n, 3, 4 * h, 4 * w), self.value)


def test_the_most_detailed_images_are_shown_with_one_column_for_each_picture():
    pairs = [pair(10, 0), pair(100, 20), pair(50, 40)]
    models = {"warm start": Constant(0.2), "ours": Constant(1.5)}
    sheet = np.asarray(Image.open(io.BytesIO(draw(pairs, models, 4, CPU))))
    assert sheet.shape == (LABEL_PX + 2 * (CELL_PX + 2), 5 * CELL_PX, 3)
    middles = [
        [sheet[LABEL_PX + r * (CELL_PX + 2) + 90, c * CELL_PX + 90].tolist() for c in range(5)]
        for r in range(2)
    ]
    greys = [[cell[0] for cell in line] for line in middles]
    assert [line[:4] for line in greys] == [[50, 50, 51, 255], [100, 100, 51, 255]], "1.5 is clipped to white"
    assert greys[0][4] in (50, 90) and greys[1][4] in (100, 120), "the target"


def test_of_a_large_picture_the_centre_is_shown_pixel_for_pixel():
    side = 2 * CELL_PX
    hr = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)
    small = hr[::4, ::4]
    sheet = np.asarray(Image.open(io.BytesIO(draw([Pair("", hr, small)], {}, 4, CPU))))
    target = sheet[LABEL_PX : LABEL_PX + CELL_PX, 2 * CELL_PX :]
    middle = slice(CELL_PX // 2, CELL_PX // 2 + CELL_PX)
    assert (target == hr[middle, middle]).all()
    quarter = slice(CELL_PX // 8, CELL_PX // 8 + CELL_PX // 4)
    assert (sheet[LABEL_PX : LABEL_PX + CELL_PX : 4, :CELL_PX:4] == small[quarter, quarter]).all()
