"""Kernels equal those of the published code (computed with it once), and have the widths that they say."""

import numpy as np
import pytest

from datasets import blur_kernels as kernels

# value at the centre, its right neighbour, a corner; computed with BasicSR 1.4.2's degradations.py
PUBLISHED = {
    "gaussian": (
        kernels.gaussian(7, (2.1, 0.7), 0.6),
        (0.11368092596074543, 0.07600786240062275, 2.0882830474722414e-09),
    ),
    "generalised": (
        kernels.gaussian(7, (2.1, 0.7), 0.6, 2.2),
        (0.17421406500177056, 0.12773125309283911, 0.0),
    ),
    "plateau": (
        kernels.plateau(7, (2.1, 0.7), 0.6, 1.6),
        (0.13354491570464835, 0.07823700886045222, 0.0004379157879181623),
    ),
    "sinc": (kernels.sinc(7, 1.9), (0.378953905362628, 0.23182288666723017, 0.022833406269960332)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_kernels_are_those_of_the_published_code(name: str) -> None:
    kernel, expected = PUBLISHED[name]
    assert np.allclose((kernel[3, 3], kernel[3, 4], kernel[0, 6]), expected, rtol=1e-12)
    assert abs(kernel.sum() - 1) < 1e-12


def test_a_gaussian_has_its_widths_and_its_centre() -> None:
    kernel = kernels.gaussian(25, (3.0, 1.0), shift=1.5)
    axis = np.arange(25) - 12
    assert abs(kernel.sum(0) @ axis - 1.5) < 1e-2 and abs(kernel.sum(1) @ axis - 1.5) < 1e-3
    assert (
        abs(kernel.sum(0) @ (axis - 1.5) ** 2 - 9) < 0.05
        and abs(kernel.sum(1) @ (axis - 1.5) ** 2 - 1) < 1e-6
    )


def test_no_width_is_no_blur() -> None:
    kernel = kernels.gaussian(7, (0.0, 0.0))
    assert kernel[3, 3] == 1 and kernel.sum() == 1
