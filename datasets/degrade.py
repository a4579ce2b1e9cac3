"""Degradations (HR to LR) by name: MATLAB's bicubic imresize and alternatives. No file access, no randomness.

MATLAB's imresize is two matrix products: each output pixel is a weighted sum of input pixels along one axis.
The border reflection is folded into the weights, rows come first, and input of 8 or 16 bit is rounded and
clipped to its range after each pass. In that order, the LR images published with benchmarks are reproduced
exactly.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from datasets.arithmetic import quotients
from datasets.config import DEGRADATIONS
from datasets.errors import UserError, unknown

# kind -> (border, rounded to 8 bit between the passes), of the kinds that are matrix products
MATRIX_KINDS = {
    "matlab": ("symmetric", True),
    "matlab_replicate": ("replicate", True),
    "matlab_float": ("symmetric", False),
}
_BANDS = 4


def down(hr: Tensor, scale: int, kind: str = "matlab", peak: int = 255) -> Tensor:
    """Shrink (N, C, H, W) to (N, C, H/scale, W/scale) on the device of `hr`: uint8, or uint16 of 0 to `peak`.

    UserError if `kind` is unknown, ValueError if H or W is not a multiple of `scale`.
    """
    height, width = hr.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} px is not a multiple of scale={scale}; crop the image first")
    return _resize(hr, (height // scale, width // scale), kind, peak)


def up(lr_image: Tensor, scale: int, kind: str = "matlab", peak: int = 255) -> Tensor:
    """Enlarge (N, C, h, w) to (N, C, h*scale, w*scale) in its type: the baseline that fits `down`."""
    height, width = lr_image.shape[-2:]
    return _resize(lr_image, (height * scale, width * scale), kind, peak)


def _resize(image: Tensor, size: tuple[int, int], kind: str, peak: int) -> Tensor:
    if image.dtype != (torch.uint8 if peak <= 255 else torch.uint16):
        raise TypeError(f"images of 0 to {peak} must be uint8 or uint16 to be resized, but got {image.dtype}")
    if kind not in DEGRADATIONS:
        raise unknown("degradation", kind, DEGRADATIONS, "data.degradation")
    if tuple(image.shape[-2:]) == size:
        return image
    if kind == "pil":
        return _pil(image, size)
    if kind == "torch_antialias":
        resized = functional.interpolate(
            image.to(_dtype(image, peak)), size=size, mode="bicubic", antialias=True, align_corners=False
        )
        return _round_clip(resized, peak).to(image.dtype)
    return _matlab(image, size, peak, *MATRIX_KINDS[kind])


def _dtype(image: Tensor, peak: int) -> torch.dtype:
    """Return float64 for more than 8 bit, whose weighted sums float32 does not hold; else float32."""
    return torch.float32 if peak <= 255 or image.device.type == "mps" else torch.float64


def _matlab(image: Tensor, size: tuple[int, int], peak: int, border: str, mid_round: bool) -> Tensor:
    sides = ((image.shape[-2], size[0]), (image.shape[-1], size[1]))
    dtype = max(_dtype(image, peak), _exact_dtype(image.device, sides, border), key=lambda d: d.itemsize)
    rows, columns = (_matrix(*side, border, image.device, dtype) for side in sides)
    half = _times(rows, image.to(dtype))
    if mid_round:
        half = _round_clip(half, peak)
    return _round_clip(half @ columns.T, peak).to(image.dtype)


def _times(rows: Tensor, image: Tensor) -> Tensor:
    """Return rows @ image; on the CPU in bands, to skip the zeros, which are most of the matrix."""
    n_out, n_in = rows.shape
    exact = image.dtype == torch.float32  # the order of a sum changes nothing, see _exact_dtype
    if not exact or image.device.type != "cpu" or n_out % _BANDS or n_in <= n_out:
        return rows @ image
    band_rows, support = n_out // _BANDS, 3 * -(-n_in // n_out)  # half a kernel is 2 strides; 1 in reserve
    half = image.new_empty(*image.shape[:-2], n_out, image.shape[-1])
    for i in range(_BANDS):
        first, last = (int((i + k) * band_rows * n_in / n_out) for k in (0, 1))
        taps = slice(max(0, first - support), min(n_in, last + support))
        band = slice(i * band_rows, (i + 1) * band_rows)
        half[..., band, :] = rows[band, taps] @ image[..., taps, :]
    return half


def _exact_dtype(device: torch.device, sides: tuple[tuple[int, int], ...], border: str) -> torch.dtype:
    """Return the smallest type in which sums of products are exact.

    For x2 and x4 the weights are multiples of 1/4096, so sums of 8-bit pixels are exact in float32, unless
    matrix products may use TF32 or bfloat16. Other scales need float64, as in MATLAB; MPS does not have it.
    """
    if device.type == "mps":
        return torch.float32
    exact = all(_is_dyadic(*side, border) for side in sides)
    return torch.float32 if exact and _full_precision() else torch.float64


def _full_precision() -> bool:
    """Return True if matrix products of float32 are certainly computed in full."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # a plug-in has set the newer fp32_precision, which torch does not read back
        return False


@lru_cache(maxsize=256)
def _is_dyadic(n_in: int, n_out: int, border: str) -> bool:
    scaled = resize_matrix(n_in, n_out, border) * 4096
    return bool((scaled == np.round(scaled)).all())


def _round_clip(x: Tensor, peak: int) -> Tensor:
    # floor(x + 0.5), not round(): MATLAB rounds halves up, torch rounds them to even.
    return (x + 0.5).floor_().clamp_(0, peak)


@lru_cache(maxsize=256)
def _matrix(n_in: int, n_out: int, border: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(resize_matrix(n_in, n_out, border)).to(device=device, dtype=dtype)


def resize_matrix(n_in: int, n_out: int, border: str) -> np.ndarray:
    """Return MATLAB's imresize along one axis as a float64 matrix (n_out, n_in).

    The kernel is cubic with a = -0.5, widened when shrinking. `border` is symmetric (the edge pixel is
    repeated, then mirrored) or replicate (clamped).
    """
    scale = n_out / n_in
    kernel_scale = min(scale, 1.0)  # below 1 the kernel is widened, which prevents aliasing
    support = 4.0 / kernel_scale
    centre = quotients(np.arange(1, n_out + 1), scale) + 0.5 * (1 - 1 / scale)
    left = np.floor(centre - support / 2)
    taps = left[:, None] + np.arange(math.ceil(support) + 2)
    weights = kernel_scale * _cubic(kernel_scale * (centre[:, None] - taps))
    weights = quotients(weights, weights.sum(axis=1, keepdims=True))
    matrix = np.zeros((n_out, n_in))
    rows = np.broadcast_to(np.arange(n_out)[:, None], taps.shape)
    np.add.at(matrix, (rows, _fold(taps.astype(np.int64) - 1, n_in, border)), weights)
    return matrix


def _fold(index: np.ndarray, n: int, border: str) -> np.ndarray:
    if border == "replicate":
        return np.clip(index, 0, n - 1)
    if border == "symmetric":
        period = np.mod(index, 2 * n)
        return np.minimum(period, 2 * n - 1 - period)
    raise ValueError(f"border must be symmetric or replicate, but got {border!r}")


def _cubic(x: np.ndarray) -> np.ndarray:
    """Evaluate the cubic convolution kernel with a = -0.5 (Keys, 1981, eq. 15)."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return near * (x <= 1) + far * ((x > 1) & (x <= 2))


def _pil(image: Tensor, size: tuple[int, int]) -> Tensor:
    arrays = image.movedim(1, -1).contiguous().cpu().numpy()
    if (bands := arrays.shape[-1]) not in (1, 3):
        raise UserError(f"data.degradation=pil needs 1 or 3 channels, but got {bands}")
    pictures = [Image.fromarray(a if bands == 3 else a[..., 0]) for a in arrays]
    resized = [np.asarray(p.resize(size[::-1], Image.Resampling.BICUBIC)) for p in pictures]
    stacked = torch.from_numpy(np.stack([np.atleast_3d(r) for r in resized]))
    return stacked.movedim(-1, 1).contiguous().to(image.device)
