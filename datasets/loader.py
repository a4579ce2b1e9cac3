"""The one door for training and evaluation: DataConfig -> batches and pairs.

Batch k is a pure function of (order_seed, k), so a run resumes by saying which step comes next. The host
only copies uint8 crops out of the memory-mapped images; flips and the network input are made on the device.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets import order
from datasets.config import DataConfig
from datasets.degrade import down
from datasets.errors import UserError
from datasets.images import ImageSet, disjoint, open_images

__all__ = ["Batch", "ImageSet", "Pair", "TrainLoader", "disjoint", "eval_pairs", "open_images"]


@dataclass(frozen=True)
class Batch:
    """float32 in [0, 1] on the device: `hr` (N, 3, crop, crop), `lr_image` smaller by the scale."""

    hr: Tensor
    lr_image: Tensor
    indices: np.ndarray


@dataclass(frozen=True)
class Pair:
    """One image to measure on: uint8 `hr` (H, W, 3) and `lr_image` (H/scale, W/scale, 3)."""

    key: str
    hr: np.ndarray
    lr_image: np.ndarray


class TrainLoader:
    """Endless training batches; rank r of `world` takes every world-th sample of each global batch."""

    def __init__(
        self,
        images: ImageSet,
        data: DataConfig,
        scale: int,
        *,
        device: torch.device | str,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check(images, data, scale, rank, world)
        self.images, self.data, self.scale = images, data, scale
        self.device, self.rank, self.world = torch.device(device), rank, world
        self._sizes = np.array([(row.height, row.width) for row in images.rows])

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Batch start_step, start_step + 1, ... for ever."""
        step = start_step
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> Batch:
        """Batch number `step` of this rank."""
        data = self.data
        indices, epochs = order.batch_indices(len(self.images), data.order_seed, step, data.batch_size)
        mine = slice(self.rank, None, self.world)
        indices, epochs = indices[mine], epochs[mine]
        crops = torch.from_numpy(self._crops(indices, epochs))
        if self.device.type == "cuda":
            crops = crops.pin_memory()
        on_device = crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if data.flip:
            mirrored = torch.from_numpy(order.flips(data.order_seed, epochs, indices)).to(self.device)
            on_device = torch.where(mirrored[:, None, None, None], on_device.flip(-1), on_device)
        on_device = on_device.contiguous()
        lr_image = down(on_device, self.scale, data.degradation)
        return Batch(on_device.float() / 255, lr_image.float() / 255, indices)

    def _crops(self, indices: np.ndarray, epochs: np.ndarray) -> np.ndarray:
        """uint8 (N, crop, crop, 3): only the crops are copied, whatever the size of the images."""
        side = self.data.crop_px
        tops, lefts = order.crops(self.data.order_seed, epochs, indices, self._sizes[indices], side)
        crops = np.empty((len(indices), side, side, 3), dtype=np.uint8)
        for out, i, top, left in zip(crops, indices, tops, lefts, strict=True):
            out[:] = self.images[i][top : top + side, left : left + side]
        return crops


def _check(images: ImageSet, data: DataConfig, scale: int, rank: int, world: int) -> None:
    if images.role != "train":
        raise UserError(f"training reads the train role only, but got {images.name} opened for {images.role}")
    if not len(images):
        raise UserError(f"data.train={images.name} holds no images")
    if images.min_side < data.crop_px:
        raise UserError(
            f"data.crop_px={data.crop_px} is larger than the smallest image of {images.name} "
            f"({images.min_side} px); lower data.crop_px or import with --min-px {data.crop_px}"
        )
    if data.crop_px % scale:
        raise UserError(f"data.crop_px must be a multiple of generator.scale={scale}, but got {data.crop_px}")
    if not 0 <= rank < world or data.batch_size % world:
        raise UserError(f"data.batch_size={data.batch_size} must be a multiple of the {world} ranks")


def eval_pairs(images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0) -> list[Pair]:
    """HR and input of the first `limit` images by key (0: all), cropped to a multiple of `scale`.

    With data.eval_crop_px the centred square is measured. UserError where an image is smaller than that.
    """
    chosen = sorted(range(len(images)), key=images.keys.__getitem__)[: limit or None]
    return [_pair(images.keys[i], images[i], data, scale) for i in chosen]


def _pair(key: str, image: np.ndarray, data: DataConfig, scale: int) -> Pair:
    side = data.eval_crop_px
    height, width = image.shape[:2]
    if side:
        if min(height, width) < side:
            raise UserError(f"data.eval_crop_px={side} is larger than image {key} ({width}x{height} px)")
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    height, width = (n // scale * scale for n in image.shape[:2])
    hr = image[:height, :width].copy()
    small = down(torch.from_numpy(hr).permute(2, 0, 1)[None], scale, data.degradation)
    return Pair(key, hr, np.ascontiguousarray(small[0].permute(1, 2, 0).numpy()))
