"""The network input of each task: the image, its grey version or its edges, shrunk by degrade.py.

All inputs have three channels, so that any generator accepts them; grey and edges repeat one channel.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from datasets.config import DataConfig
from datasets.degrade import down
from datasets.files import usable_cpus


def network_input(hr: Tensor, scale: int, data: DataConfig) -> Tensor:
    """Compute the network input (N, bands, H/scale, W/scale) of (N, bands, H, W), both of data.pixels.

    Edges are detected at full size and then shrunk, so that all scales see equal edges.
    """
    return down(_CONTENT[data.input](hr, data), scale, data.degradation, data.peak)


def needs_host(data: DataConfig) -> bool:
    """Return True if only the host can compute the input: for edges (scikit-image) and Pillow's bicubic."""
    return data.input == "edges" or data.degradation == "pil"


def grey(hr: Tensor) -> Tensor:
    """Convert uint8 (N, 3, H, W) to grey of equal shape: luma of ITU-R BT.601, rounded half up."""
    red, green, blue = hr.to(torch.int32).unbind(1)
    luma = (299 * red + 587 * green + 114 * blue + 500).div(1000, rounding_mode="floor")
    return luma.to(torch.uint8).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()


def edges(hr: Tensor, sigma: float, low: float, high: float) -> Tensor:
    """Detect edges in uint8 (N, 3, H, W), as 0 or 255 of equal shape: Canny (1986) on the grey image.

    `sigma` is in pixels; `low` and `high` are thresholds on the gradient of an image in [0, 1].
    """
    from skimage.feature import canny  # takes a second to import, and most runs have no edges

    planes = grey(hr)[:, 0].cpu().numpy() / 255.0
    with ThreadPoolExecutor(min(len(planes), usable_cpus())) as threads:  # most of it runs without the GIL
        found = list(
            threads.map(lambda p: canny(p, sigma=sigma, low_threshold=low, high_threshold=high), planes)
        )
    lines = torch.from_numpy(np.stack(found)).to(torch.uint8) * 255
    return lines.to(hr.device).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()


_CONTENT = {
    "image": lambda hr, data: hr,
    "grey": lambda hr, data: grey(hr),
    "edges": lambda hr, data: edges(hr, data.canny_sigma, data.canny_low, data.canny_high),
}
