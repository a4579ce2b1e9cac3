"""Defects that a mean of squared errors hides: a tint of the images, a grid with the period of the scale.

Pure functions of images; orchestrator.registry.gate has the limits. The metrics colour_shift and
checkerboard (trainers/metrics/artifacts.py) are other quantities.
"""

from collections.abc import Sequence

import numpy as np


def mean_tint(made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> float:
    """Return the largest mean difference of a band over the set, in grey levels of the images.

    `made` and `real` are equally long lists of images (H, W, bands). Signed differences are averaged over the
    set first, so that noise cancels and a tint does not.
    """
    shifts = [sr.mean(axis=(0, 1)) - hr.mean(axis=(0, 1)) for sr, hr in zip(made, real, strict=True)]
    return float(np.abs(np.mean(shifts, axis=0)).max())


def grid_pattern(made: Sequence[np.ndarray], real: Sequence[np.ndarray], scale: int) -> float:
    """Return the strength of a pattern that repeats every `scale` pixels, in grey levels.

    It is the standard deviation of the mean errors at the scale x scale positions within the grid; 0 for
    scale 1. Errors unrelated to the grid average out. (Odena et al., "Deconvolution and checkerboard
    artifacts", 2016, describe the defect.)
    """
    if scale == 1:
        return 0.0
    phases = np.zeros((scale, scale))
    for sr, hr in zip(made, real, strict=True):
        error = sr.astype(np.float64).mean(axis=2) - hr.astype(np.float64).mean(axis=2)
        height, width = (side // scale * scale for side in error.shape)
        grid = error[:height, :width].reshape(height // scale, scale, width // scale, scale)
        phases += grid.mean(axis=(0, 2)) / len(made)
    return float(phases.std())
