"""Tints and grid patterns are measured in grey levels; noise and blur are neither."""

import numpy as np
import pytest

from orchestrator.registry.defects import grid_pattern, mean_tint


@pytest.fixture
def real():
    draw = np.random.default_rng(0)
    return [draw.integers(40, 200, (48, 65, 3), dtype=np.uint8) for _ in range(6)]


def test_equal_images_have_no_defect(real):
    assert mean_tint(real, real) == 0 and grid_pattern(real, real, 4) == 0


def test_three_levels_of_red_are_a_tint_of_three(real):
    made = [image + np.array([3, 0, 0], np.uint8) for image in real]
    assert mean_tint(made, real) == pytest.approx(3)
    assert grid_pattern(made, real, 4) == pytest.approx(0, abs=1e-9)


def test_a_grid_is_measured_by_its_deviation(real):
    made = [image.copy() for image in real]
    for image in made:
        image[::4, ::4] += 16  # one position of sixteen: deviation 16 * sqrt(1/16 * 15/16)
    assert grid_pattern(made, real, 4) == pytest.approx(16 * np.sqrt(15) / 16, rel=1e-6)
    assert grid_pattern(made, real, 1) == 0


def test_noise_is_neither_a_tint_nor_a_grid(real):
    draw = np.random.default_rng(1)
    made = [(image + draw.normal(0, 8, image.shape)).round().astype(np.uint8) for image in real]
    assert mean_tint(made, real) < 0.3 and grid_pattern(made, real, 4) < 0.5
