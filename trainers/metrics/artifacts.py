"""What goes wrong in super-resolution in particular: strayed input, colour cast, grid patterns, lost edges.

Diagnostics, each a definition of its own (no paper's number is meant). Pixels only, no network.
"""

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from datasets.degrade import down
from trainers.metrics.distortion import psnr
from trainers.metrics.image_view import View, Views


def lr_consistency(sr: Views, hr: Views) -> list[float]:
    """PSNR in dB of the degraded result against the network's input, over RGB; infinite when equal.

    A restoration that keeps what it was given is above 45 dB or so; invented content is below. The
    degradation is that of the set (`Views.degradation`). ValueError where an image came without its input.
    """
    return [_consistency(a, b, sr.degradation) for a, b in zip(sr, hr, strict=True)]


def _consistency(sr: View, hr: View, kind: str) -> float:
    if hr.lr_image is None:
        raise ValueError("lr_consistency needs the network's input beside each image")
    scale = sr.rgb.shape[0] // hr.lr_image.shape[0]
    x = torch.from_numpy(sr.rgb.copy()).permute(2, 0, 1)[None]
    return psnr(down(x, scale, kind)[0].permute(1, 2, 0).numpy(), View(hr.lr_image).rgb)


def colour_shift(sr: Views, hr: Views) -> list[float]:
    """Distance of the mean colours of result and target, in grey levels of RGB; a cast, not noise."""
    pairs = zip(sr, hr, strict=True)
    return [float(np.linalg.norm(a.rgb.mean(axis=(0, 1)) - b.rgb.mean(axis=(0, 1)))) for a, b in pairs]


def checkerboard(sr: Views, hr: Views) -> list[float]:
    """How unevenly fine detail falls on the upsampling grid; 0 when no position of the grid stands out.

    Energy of luminance minus its 3x3 mean, averaged at each of the `scale` x `scale` grid positions: the
    deviation of these means over their mean. Transposed convolutions with overlap and pixel shuffle
    without care leave such a pattern (Odena et al., 2016); photographs do not. 0 at scale 1.
    """
    return [_unevenness(view.y, view.border) for view in sr]


def _unevenness(y: np.ndarray, scale: int) -> float:
    if scale < 2:
        return 0.0
    plane = y.astype(np.float64)
    energy = (plane - uniform_filter(plane, 3, mode="nearest")) ** 2
    rows, columns = (side // scale for side in energy.shape)
    grid = energy[: rows * scale, : columns * scale].reshape(rows, scale, columns, scale).mean(axis=(0, 2))
    return float(grid.std() / grid.mean()) if grid.mean() else 0.0


def sharpness_gap(sr: Views, hr: Views) -> list[float]:
    """|log2| of the ratio of mean luminance gradients of result and target; 0 when equally sharp.

    Blur and oversharpening count alike: half or twice the gradient is 1.
    """
    pairs = zip(sr, hr, strict=True)
    return [float(abs(np.log2((_gradient(a.y) + 1e-3) / (_gradient(b.y) + 1e-3)))) for a, b in pairs]


def _gradient(y: np.ndarray) -> float:
    plane = y.astype(np.float64)
    return float(np.hypot(np.diff(plane, axis=0)[:, :-1], np.diff(plane, axis=1)[:-1]).mean())
