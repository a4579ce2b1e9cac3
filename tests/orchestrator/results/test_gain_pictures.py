"""The test stage shows the images on which a network gains most, middling and least over its warm start."""

import io

import numpy as np
from PIL import Image

from datasets.loader import Pair
from orchestrator.results.gain_pictures import BICUBIC, choose, draw
from orchestrator.results.image_strips import CELL_PX, LABEL_PX
from trainers.objectives import Objectives

PERCEPTION = Objectives("psnr_y", "lpips_alex", 1.0)
KEYS = [*"abcde"]


def test_best_median_and_worst_are_chosen_by_the_gain_in_perception():
    own, warm = [0.3, 0.1, 0.5, 0.2, 0.2], [0.4, 0.6, 0.4, 0.22, 0.25]  # gains .1, .5, -.1, .02, .05
    per_image = {"lpips_alex": own, "warm/lpips_alex": warm}
    chosen = choose(per_image, KEYS, PERCEPTION)
    assert [index for index, _ in chosen] == [1, 4, 2]
    assert chosen[0][1] == "best of 5 gains in lpips_alex: b, 0.1000 (its warm start 0.6000)"
    assert chosen[2][1].startswith("worst of 5 gains in lpips_alex: c, 0.5000 (its warm start 0.4")


def test_a_metric_of_whole_sets_leaves_the_choice_to_distortion_whose_larger_values_are_better():
    per_image = {"psnr_y": [30.0, 31.0, 29.0], "warm/psnr_y": [30.5, 31.0, 30.0]}
    assert [i for i, _ in choose(per_image, KEYS[:3], Objectives("psnr_y", "swd", 1.0))] == [1, 0, 2]


def test_the_gain_over_bicubic_is_captioned_with_its_values():
    per_image = {"psnr_y": [30.0, 31.0], "bicubic/psnr_y": [29.0, 28.0]}
    chosen = choose(per_image, KEYS[:2], Objectives("psnr_y", "swd", 1.0), BICUBIC)
    assert chosen[0] == (1, "best of 2 gains in psnr_y: b, 31.00 (bicubic 28.00)")


def test_one_image_is_shown_once():
    assert len(choose({"psnr_y": [1.0], "warm/psnr_y": [1.0]}, ["a"], Objectives("psnr_y", "swd", 1.0))) == 1


def test_a_row_has_input_bicubic_warm_start_own_and_target():
    def flat(level, side=16):
        return np.full((side, side, 3), level, np.uint8)

    pairs = [Pair(key, flat(200 + k), flat(100 + k, 4)) for k, key in enumerate(KEYS)]
    own, warm = [flat(50 + k) for k in range(5)], [flat(20 + k) for k in range(5)]
    drawn = draw(pairs, {"warm start": warm, "ours": own}, [(4, "best"), (1, "worst")], 4)
    assert drawn["captions"] == ["best", "worst"]
    sheet = np.asarray(Image.open(io.BytesIO(drawn["png"])))
    greys = [
        [sheet[LABEL_PX + r * (CELL_PX + 2) + 9, c * CELL_PX + 9, 0] for c in range(5)] for r in range(2)
    ]
    assert greys == [[104, 104, 24, 54, 204], [101, 101, 21, 51, 201]]
