"""NIQE (Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer", 2013).

Statistics of 96x96 blocks of rounded luminance, at full and half size, against those of pristine photographs
(a published file of 36 means and covariances), without a reference image. Images need at least two blocks a
side: the table of metrics refuses images below 192 pixels.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate
from scipy.special import gamma

from datasets.arithmetic import quotients
from trainers.metrics.image_view import View, Views
from trainers.weights import load

BLOCK = 96
MIN_SIDE = 192

_SHAPES = np.arange(0.2, 10.001, 0.001)
_GAMMAS = {k: gamma(quotients(k, _SHAPES)) for k in (1, 2, 3)}
_RATIOS = quotients(_GAMMAS[2] ** 2, _GAMMAS[1] * _GAMMAS[3])  # falls with the shape
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


@cache
def _pristine() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean (36,), covariance (36, 36) and 7x7 window of the published model."""
    model = {name: tensor.numpy() for name, tensor in load("niqe_model").items()}
    return model["mu_pris_param"][0], model["cov_pris_param"], model["gaussian_window"]


def halve(plane: np.ndarray) -> np.ndarray:
    """Return MATLAB's imresize(plane, 0.5) of a float64 plane (H, W) with even sides, unrounded.

    The plane is mirrored first, because torch's antialiased bicubic renormalises a cut kernel at the border.
    """
    x = torch.from_numpy(np.pad(plane, 8, mode="symmetric"))[None, None]
    x = F.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
    return x[0, 0, 4:-4, 4:-4].numpy()


def _normalised(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Subtract the local mean, divide by the local deviation + 1 (eq. 1 to 3)."""
    mean = correlate(plane, window, mode="nearest")
    variance = correlate(plane * plane, window, mode="nearest") - mean * mean
    return (plane - mean) / (np.sqrt(np.abs(variance)) + 1)


def _asymmetric_gaussian(x: np.ndarray) -> tuple[float, float, float]:
    """Fit an asymmetric generalised Gaussian by moments (Lasmar, 2009): shape, left and right scale."""
    left = np.sqrt(np.mean(x[x < 0] ** 2))
    right = np.sqrt(np.mean(x[x > 0] ** 2))
    skew = left / right
    ratio = np.mean(np.abs(x)) ** 2 / np.mean(x * x)
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = _SHAPES[np.argmin((_RATIOS - wanted) ** 2)]
    width = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return float(shape), float(left * width), float(right * width)


def _block_features(block: np.ndarray) -> list[float]:
    """Return the 18 features of one block at one size: shape and scale, then four neighbour products."""
    shape, left, right = _asymmetric_gaussian(block)
    features = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, float(mean), left, right]
    return features


def features(y: np.ndarray) -> np.ndarray:
    """Return features (blocks, 36) of a luminance plane (H, W) in grey levels; H and W at least 96."""
    rows, columns = y.shape[0] // BLOCK, y.shape[1] // BLOCK
    plane = y[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    by_size = []
    for side in (BLOCK, BLOCK // 2):
        n = _normalised(plane, _pristine()[2])
        blocks = n.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        by_size.append([_block_features(block) for block in blocks])
        plane = halve(plane)
    return np.concatenate(by_size, axis=1)


def niqe_of(view: View) -> float:
    """Return the NIQE of one image (eq. 10), >= 0; smaller is more natural.

    UserError if the file of the pristine model is missing or damaged.
    """
    mean, covariance, _ = _pristine()
    blocks = features(view.y)
    blocks = blocks[~np.isnan(blocks).any(axis=1)]  # a flat block has no shape
    difference = mean - blocks.mean(axis=0)
    spread = np.linalg.pinv((covariance + np.cov(blocks, rowvar=False)) / 2)
    return float(np.sqrt(difference @ spread @ difference))


def niqe(sr: Views, hr: Views) -> list[float]:
    """Return the NIQE of the generated images, one value per image; `hr` is not used.

    Measured weakness (docs/metrics.md): sharpening betters it by 10 to 23 %, JPEG of quality 50 by 12 to
    20 %, and weak noise by 7 %.
    """
    return [niqe_of(view) for view in sr]
