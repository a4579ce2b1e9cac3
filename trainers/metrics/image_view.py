"""Images as metrics read them: pixels, and the planes that several metrics share.

A view computes each plane at most once, so an evaluator computes the planes of its HR images only once.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from datasets.pixels import RGB8, PixelFormat, as_rgb8

T = TypeVar("T")

# ITU-R BT.601 studio swing as in MATLAB's rgb2ycbcr, in thousandths.
_Y_THOUSANDTHS = (65481, 128553, 24966)


def luma(rgb: np.ndarray) -> np.ndarray:
    """Return Y of uint8 RGB (..., 3), in 16..235, rounded half up to uint8 as MATLAB's rgb2ycbcr(uint8).

    Integer arithmetic: rounding of a tie does not depend on the order of floating-point additions.
    """
    r, g, b = (rgb[..., c].astype(np.int32) * k for c, k in enumerate(_Y_THOUSANDTHS))
    return ((r + g + b + 16 * 255_000 + 127_500) // 255_000).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class View:
    """One image, (H, W, bands) of `format` or uint8 (H, W) grey, with its derived planes.

    `border` pixels (the scale) are shaved on each side. A grey image is its own luminance: MATLAB's benchmark
    code does not convert it to YCbCr, and the published Set14 means depend on that. `lr_image` is the
    network's input, for metrics that compare with it.
    """

    pixels: np.ndarray
    border: int = 0
    lr_image: np.ndarray | None = None
    format: PixelFormat = RGB8

    @cached_property
    def y(self) -> np.ndarray:
        """Luminance without the border, uint8 (H - 2 border, W - 2 border)."""
        shaved = self.shaved
        return shaved if shaved.ndim == 2 else luma(shaved)

    @cached_property
    def y_float(self) -> np.ndarray:
        """Luminance without the border that is not rounded, float64; a grey image as it is."""
        shaved = self.shaved.astype(np.float64)
        return shaved if shaved.ndim == 2 else shaved @ np.array(_Y_THOUSANDTHS) / 255_000 + 16

    @property
    def brightness(self) -> np.ndarray:
        """`y` of 8-bit RGB, the mean of the bands of other images, without the border."""
        return self.y if self.format.is_rgb8 else np.atleast_3d(self.shaved).mean(axis=2)

    @property
    def shaved(self) -> np.ndarray:
        """The pixels without their border."""
        b, (height, width) = self.border, self.pixels.shape[:2]
        return self.pixels[b : height - b, b : width - b]

    @property
    def rgb(self) -> np.ndarray:
        """Unshaved bands red, green and blue, rounded to 8 bit, as (H, W, 3); a grey image repeated."""
        grey = self.pixels.ndim == 2
        return np.repeat(self.pixels[..., None], 3, axis=2) if grey else as_rgb8(self.pixels, self.format)


class Views(list[View]):
    """A set of views, with a cache of values that metrics compute once per set.

    Networks run on `device`; `degradation` made the inputs of the set.
    """

    def __init__(
        self,
        views: Iterable[View],
        *,
        device: torch.device | str = "cpu",
        degradation: str = "matlab",
    ) -> None:
        super().__init__(views)
        self.device, self.degradation = torch.device(device), degradation
        self._kept: dict[Hashable, Any] = {}

    def keep(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value cached under `key`; compute it on the first call."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]


def same_shaped(shapes: Sequence[tuple[int, ...]], most: Callable[[tuple[int, ...]], int]) -> list[list[int]]:
    """Return indices of images by their `shapes`, in batches of one shape and `most` images, at least one."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, shape in enumerate(shapes):
        groups[shape].append(i)
    batches = []
    for shape, members in groups.items():
        count = max(1, most(shape))
        batches += [members[k : k + count] for k in range(0, len(members), count)]
    return batches
