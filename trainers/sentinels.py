"""Sentinels: edits of a PSNR network's images that cost nothing, and that a GAN must better to be shipped.

A perceptual metric may reward mere sharpness or noise: an unsharp mask of a warm start can better it more
than a short GAN phase does. So a sweep measures both edits of the very network that its GAN started from,
each at the strength that is best on val under the rules of every checkpoint.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from trainers.evaluate import Evaluation, Evaluator
from trainers.objectives import Objectives

SIGMA_PX = 1.0
STRENGTHS = {"sharpened": (0.25, 0.5, 1.0, 2.0), "noisy": (1.0, 2.0, 4.0, 8.0)}
"""Sentinel -> strengths to choose from: factor on the detail above SIGMA_PX, or deviation in grey levels."""


def edit(name: str, strength: float, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return uint8 images (H, W, 3) or (H, W), each sharpened by an unsharp mask or with Gaussian noise.

    The noise of an image depends on its place in the list alone.
    """
    return [_edit(name, strength, image, place) for place, image in enumerate(images)]


def _edit(name: str, strength: float, image: np.ndarray, place: int) -> np.ndarray:
    pixels = image.astype(np.float32)
    if name == "sharpened":
        sigma = (SIGMA_PX, SIGMA_PX) + (0.0,) * (image.ndim - 2)
        pixels += strength * (pixels - gaussian_filter(pixels, sigma))
    else:
        pixels += strength * np.random.default_rng(place).standard_normal(image.shape, dtype=np.float32)
    return (pixels.clip(0, 255) + 0.5).astype(np.uint8)


def strongest(
    name: str,
    images: Sequence[np.ndarray],
    measured: Evaluation,
    evaluator: Evaluator,
    objectives: Objectives,
) -> float:
    """Return the strength of a sentinel whose edit of the warm start's `images` is best, feasible ones first.

    `measured` are the values of the images before the edit, which set the floor.
    """

    def order(strength: float) -> tuple[bool, float, float]:
        edited = evaluator.measure_images(edit(name, strength, images)).summary
        return objectives.order(edited, measured.summary)

    return min(STRENGTHS[name], key=order)
