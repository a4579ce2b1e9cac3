"""Faults that a mean of squared errors hides: a tint over the image, a grid with the period of the scale.

Pure functions of 8-bit images; what is too much is said in orchestrator.registry.gate.
"""

from collections.abc import Sequence

import numpy as np


def mean_tint(made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> float:
    """Largest mean difference of a colour channel over the set, in grey levels of 255.

    Two equally long lists of uint8 (H, W, 3). Signed differences are averaged first, so that noise cancels
    and a tint does not.
    """
    shifts = [
        sr.reshape(-1, 3).mean(axis=0) - hr.reshape(-1, 3).mean(axis=0)
        for sr, hr in zip(made, real, strict=True)
    ]
    return float(np.abs(np.mean(shifts, axis=0)).max())


def grid_pattern(made: Sequence[np.ndarray], real: Sequence[np.ndarray], scale: int) -> float:
    """Strength of a pattern that repeats every `scale` pixels, in grey levels of 255; 0 for scale 1.

    The mean error at each of the scale x scale positions within the grid (Odena et al., "Deconvolution and
    checkerboard artifacts", 2016, describe the fault): their standard deviation. An error that has nothing
    to do with the grid averages out.
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
