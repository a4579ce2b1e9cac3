"""Training batches and evaluation pairs from a DataConfig.

Batch k is a pure function of (order_seed, k), so a run resumes at any step. A thread of the host copies and
mirrors uint8 crops of the next batch; the network input is computed on the device, unless only the host can.
On CUDA the training step never waits for a copy: datasets/upload.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from datasets import codec, sampling, shuffle_buffer
from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.files import usable_cpus
from datasets.image_set import ImageSet
from datasets.network_input import needs_host, network_input
from datasets.upload import one_ahead, pinned, upload

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """A training batch on the device, float32 in [0, 1], RGB."""

    hr: Tensor
    """Targets, (N, 3, crop, crop)."""
    lr_image: Tensor
    """Network inputs made from `hr`, (N, 3, crop/scale, crop/scale); of scale 1, as large as `hr`."""
    indices: np.ndarray
    """Index in the image set of each crop's image, int64 (N,)."""


@dataclass(frozen=True)
class Pair:
    """One image for evaluation: uint8 `hr` (H, W, 3) and `lr_image` (H/scale, W/scale, 3)."""

    key: str
    hr: np.ndarray
    lr_image: np.ndarray


class TrainLoader:
    """Endless training batches; rank r of `world` takes samples r, r + world, ... of each global batch."""

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
        self.device, self.mine = torch.device(device), slice(rank, None, world)
        self._sizes = np.array([(row.height, row.width) for row in images.rows])

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Yield batch start_step, start_step + 1, ... without end; a thread prepares the next batch."""
        crops = self._streamed(start_step) if self.data.mode == "streamed" else self._cached(start_step)
        made = map(self._batch, _ahead(crops))
        return one_ahead(made, self.device) if self.device.type == "cuda" else made

    def _batch(self, crops: "_Crops") -> Batch:
        hr = upload(crops.pixels, self.device).permute(0, 3, 1, 2)  # channels_last, as the step wants it
        if crops.lr_image is None:
            lr_image = network_input(hr.contiguous(), self.scale, self.data)
        else:
            lr_image = upload(crops.lr_image, self.device)
        return Batch(hr.float().div_(255), lr_image.float().div_(255), crops.indices)

    def _crops(self, pixels: np.ndarray, epochs: np.ndarray, indices: np.ndarray) -> "_Crops":
        """Mirror the images that the epoch mirrors, in place, and compute what only the host can compute."""
        data, hr = self.data, torch.from_numpy(pixels)
        if data.flip:
            planes = hr.permute(0, 3, 1, 2)  # torch mirrors this layout ten times as fast as numpy
            for i in np.flatnonzero(sampling.flips(data.order_seed, epochs, indices)).tolist():
                planes[i : i + 1] = planes[i : i + 1].flip(-1)
        lr_image = None
        if needs_host(data):
            lr_image = pinned(
                network_input(hr.permute(0, 3, 1, 2).contiguous(), self.scale, data), self.device
            )
        return _Crops(pinned(hr, self.device), lr_image, indices)

    def _cached(self, step: int) -> Iterator["_Crops"]:
        n, size, seed = len(self.images), self.data.batch_size, self.data.order_seed
        while True:
            indices, epochs = (part[self.mine] for part in sampling.batch_indices(n, seed, step, size))
            pixels = self.images.pixels.crops(
                indices, *self._crop_positions(indices, epochs), self.data.crop_px
            )
            yield self._crops(pixels, epochs, indices)
            step += 1

    def _streamed(self, step: int) -> Iterator["_Crops"]:
        size, side, threads = self.data.batch_size, self.data.crop_px, usable_cpus()
        source = shuffle_buffer.stream(self.images, self.data.order_seed, step * size)
        with ThreadPoolExecutor(threads) as pool:
            while True:
                batch = list(islice(source, size))[self.mine]
                indices = np.array([s.index for s in batch])
                epochs = np.array([s.epoch for s in batch])
                pixels = np.empty((len(batch), side, side, 3), dtype=np.uint8)
                crops = list(zip(pixels, batch, *self._crop_positions(indices, epochs), strict=True))
                # One task per thread, not per image: starting a task takes a tenth of the time of a decode.
                list(pool.map(self._decode, (crops[i::threads] for i in range(threads))))
                yield self._crops(pixels, epochs, indices)

    def _decode(self, crops: list[tuple[np.ndarray, shuffle_buffer.Sample, int, int]]) -> None:
        transform, side = self.images.manifest.transform, self.data.crop_px
        for out, sample, top, left in crops:
            row = self.images.rows[sample.index]
            out[:] = codec.decode_crop(sample.data, row.ext, row.mode, transform, int(top), int(left), side)

    def _crop_positions(self, indices: np.ndarray, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return sampling.crop_positions(
            self.data.order_seed, epochs, indices, self._sizes[indices], self.data.crop_px
        )


@dataclass(frozen=True)
class _Crops:
    """A batch on the host, before it goes to the device; pinned in memory if that is CUDA."""

    pixels: Tensor
    """uint8 (N, crop, crop, 3)."""
    lr_image: Tensor | None
    """Network input, uint8 (N, 3, crop/scale, crop/scale); None if the device computes it."""
    indices: np.ndarray


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an endless iterator while a thread computes the next one."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items)
        while True:
            ready = upcoming.result()
            upcoming = thread.submit(next, items)
            yield ready


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
    """Return HR and network input of the first `limit` images by key (0: all), cropped to whole LR pixels.

    If data.eval_crop_px is set, only a square is used: the centre, or one derived from the key. UserError if
    an image is smaller than the square.
    """
    return [_pair(images.keys[i], images[i], data, scale) for i in _first_by_key(images, limit)]


def smallest_pairs(
    images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0, count: int = 2
) -> list[Pair]:
    """Return the `count` smallest of `eval_pairs`: if these can be measured, all of them can.

    UserError as from `eval_pairs`.
    """
    rows = images.rows
    chosen = sorted(_first_by_key(images, limit), key=lambda i: min(rows[i].width, rows[i].height))
    return [_pair(images.keys[i], images[i], data, scale) for i in chosen[:count]]


def _first_by_key(images: ImageSet, limit: int) -> list[int]:
    """Return the indices of the first `limit` images by key (0: all)."""
    return sorted(range(len(images)), key=images.keys.__getitem__)[: limit or None]


def input_protocol(data: DataConfig) -> dict[str, object]:
    """Return the part of the evaluation protocol that decides how the network input is made from HR.

    Networks of equal scale and equal input protocol can be measured on the same pairs.
    """
    facts: dict[str, object] = {"degradation": data.degradation}
    if data.input != "image":
        facts["input"] = data.input
    if data.input == "edges":
        facts["canny"] = f"{data.canny_sigma:g}/{data.canny_low:g}/{data.canny_high:g}"
    return facts


def eval_protocol(images: ImageSet, data: DataConfig) -> dict[str, object]:
    """Return the evaluation protocol of `eval_pairs(images, data, ...)`; the Evaluator adds scale and number.

    Values of unequal protocols must not be compared. Defaults (whole images, in colour) are left out.
    """
    # this order is part of the text by which protocols of earlier versions are compared
    facts: dict[str, object] = {"degradation": data.degradation, "images": images.digest}
    facts |= input_protocol(data)
    if data.eval_crop_px:
        facts["crop"] = f"{data.eval_crop_px} px, {data.eval_crop_at}"
    return facts


def _pair(key: str, image: np.ndarray, data: DataConfig, scale: int) -> Pair:
    side = data.eval_crop_px
    height, width = image.shape[:2]
    if side:
        if min(height, width) < side:
            raise UserError(f"data.eval_crop_px={side} is larger than image {key} ({width}x{height} px)")
        top, left = sampling.eval_position(key, height - side, width - side, data.eval_crop_at)
        image = image[top : top + side, left : left + side]
    height, width = (n // scale * scale for n in image.shape[:2])
    hr = image[:height, :width].copy()
    small = network_input(torch.from_numpy(hr).permute(2, 0, 1)[None], scale, data)
    return Pair(key, hr, np.ascontiguousarray(small[0].permute(1, 2, 0).numpy()))
