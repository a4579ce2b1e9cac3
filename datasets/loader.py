"""Training batches and evaluation pairs from a DataConfig.

Batch k is a pure function of (order_seed, k), so a run resumes at any step. A thread of the host copies and
mirrors uint8 crops of the next batch; the network input is computed on the device, unless it comes with the
set or only the host can compute it. On CUDA the training step never waits for a copy: datasets/upload.py.
"""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from datasets import codec, sampling, shuffle_buffer
from datasets.config import SHIPPED, DataConfig
from datasets.corruption_presets import Corruption
from datasets.errors import UserError
from datasets.files import usable_cpus
from datasets.image_set import ImageSet
from datasets.network_input import needs_host, network_input
from datasets.pixels import RGB8, PixelFormat
from datasets.upload import Batch, one_ahead, pinned, prepared, upload


@dataclass(frozen=True)
class Pair:
    """One image for evaluation: `hr` (H, W, bands) and `lr_image` (H/scale, W/scale, bands) of `format`."""

    key: str
    hr: np.ndarray
    lr_image: np.ndarray
    format: PixelFormat = RGB8


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
        images.check_training(data, scale)
        if not 0 <= rank < world or data.batch_size % world:
            raise UserError(f"data.batch_size={data.batch_size} must be a multiple of the {world} ranks")
        self.images, self.data, self.scale = images, data, scale
        self._corrupt = Corruption(data.train_degradation, scale) if data.train_degradation else None
        self.device, self.mine = torch.device(device), slice(rank, None, world)

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Yield batch start_step, start_step + 1, ... without end; a thread prepares the next batch."""
        crops = self._streamed(start_step) if self.data.mode == "streamed" else self._cached(start_step)
        made = map(self._batch, prepared(crops))
        return one_ahead(made, self.device) if self.device.type == "cuda" else made

    def with_degradation(self, text: str) -> "TrainLoader":
        """Return a loader that makes inputs by the train_degradation `text` of the same crops."""
        changed = copy.copy(self)
        changed.data = replace(self.data, train_degradation=text)
        changed._corrupt = Corruption(text, self.scale)
        return changed

    def _batch(self, crops: "_Crops") -> Batch:
        hr = upload(crops.pixels, self.device).permute(0, 3, 1, 2)  # channels_last, as the step wants it
        if crops.lr_image is None:
            lr_image = network_input(hr.contiguous(), self.scale, self.data)
        else:
            lr_image = upload(crops.lr_image, self.device)
        white = self.data.peak
        return Batch(hr.float().div_(white), lr_image.float().div_(white), crops.indices)

    def _crops(
        self, pixels: np.ndarray, inputs: np.ndarray | None, epochs: np.ndarray, indices: np.ndarray
    ) -> "_Crops":
        """Mirror and turn the images of the batch, and compute what only the host can compute.

        `inputs` are the LR crops of pairs, None of photographs.
        """
        if self._corrupt:
            words = [(self.data.order_seed, int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
            inputs = np.stack(list(self._pool.map(self._corrupt, pixels, words)))
        hr = self._augmented(pixels, epochs, indices)
        lr_image = None
        if inputs is not None:
            lr_image = self._augmented(inputs, epochs, indices).permute(0, 3, 1, 2).contiguous()
        elif needs_host(self.data):
            lr_image = network_input(hr.permute(0, 3, 1, 2).contiguous(), self.scale, self.data)
        if lr_image is not None:
            lr_image = pinned(lr_image, self.device)
        return _Crops(pinned(hr, self.device), lr_image, indices)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(usable_cpus())

    def _augmented(self, crops: np.ndarray, epochs: np.ndarray, indices: np.ndarray) -> Tensor:
        """Return square crops (N, H, W, bands) mirrored and turned as `epochs` say, in place."""
        seed, images = self.data.order_seed, torch.from_numpy(crops)
        planes = images.permute(0, 3, 1, 2)  # torch mirrors this layout ten times as fast as numpy
        if self.data.flip:
            for i in np.flatnonzero(sampling.flips(seed, epochs, indices)).tolist():
                planes[i : i + 1] = planes[i : i + 1].flip(-1)
        if self.data.rotate:
            for i, turns in enumerate(sampling.turns(seed, epochs, indices).tolist()):
                planes[i] = planes[i].rot90(turns, (1, 2)).clone() if turns else planes[i]
        return images

    def _cached(self, step: int) -> Iterator["_Crops"]:
        n, size, seed = len(self.images), self.data.batch_size, self.data.order_seed
        side, scale = self.data.crop_px, self.images.pairs_scale
        while True:
            indices, epochs = (part[self.mine] for part in sampling.batch_indices(n, seed, step, size))
            tops, lefts = self._crop_positions(indices, epochs)
            pixels, inputs = self.images.pixels.crops(indices, tops, lefts, side), None
            if scale:
                inputs = self.images.inputs.crops(indices, tops // scale, lefts // scale, side // scale)
            yield self._crops(pixels, inputs, epochs, indices)
            step += 1

    def _streamed(self, step: int) -> Iterator["_Crops"]:
        size, side, scale = self.data.batch_size, self.data.crop_px, self.images.pairs_scale
        source = shuffle_buffer.stream(self.images, self.data.order_seed, step * size)
        while True:
            batch = list(islice(source, size))[self.mine]
            indices = np.array([sample.index for sample in batch])
            epochs = np.array([sample.epoch for sample in batch])
            tops, lefts = self._crop_positions(indices, epochs)
            pixels, inputs = self._decoded(batch, 0, tops, lefts, side), None
            if scale:
                inputs = self._decoded(batch, 1, tops // scale, lefts // scale, side // scale)
            yield self._crops(pixels, inputs, epochs, indices)

    def _decoded(
        self, batch: list[shuffle_buffer.Sample], member: int, tops: np.ndarray, lefts: np.ndarray, side: int
    ) -> np.ndarray:
        """Decode the square at (top, left) of the HR (`member` 0) or LR image (1) of each sample."""
        manifest, of, threads = self.images.manifest, self.images.format, usable_cpus()
        crops = np.empty((len(batch), side, side, of.channels), of.dtype)

        def decode(first: int) -> None:
            for i in range(first, len(batch), threads):
                data, image = batch[i].files[member], self.images.rows[batch[i].index].images[member]
                place = (int(tops[i]), int(lefts[i]), side)
                crops[i] = codec.decode_crop(data, image, manifest.transform, of, *place)

        # One task per thread, not per image: starting a task takes a tenth of the time of a decode.
        list(self._pool.map(decode, range(threads)))
        return crops

    def _crop_positions(self, indices: np.ndarray, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return top and left of each HR crop in pixels; those of pairs begin with a whole LR pixel."""
        seed, grid = self.data.order_seed, self.images.pairs_scale or 1
        sizes, crop_px = self.images.sizes[indices] // grid, self.data.crop_px // grid
        tops, lefts = sampling.crop_positions(seed, epochs, indices, sizes, crop_px)
        return tops * grid, lefts * grid


@dataclass(frozen=True)
class _Crops:
    """A batch on the host, before it goes to the device; pinned in memory if that is CUDA."""

    pixels: Tensor
    """(N, crop, crop, bands) in the type of the images."""
    lr_image: Tensor | None
    """Network input (N, bands, crop/scale, crop/scale); None if the device makes it from `pixels`."""
    indices: np.ndarray


def eval_pairs(images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0) -> list[Pair]:
    """Return HR and network input of the first `limit` images by key (0: all), cropped to whole LR pixels.

    If data.eval_crop_px is set, only a square is used: the centre, or one derived from the key. UserError if
    an image is smaller than the square.
    """
    return [_pair(images, i, data, scale) for i in _first_by_key(images, limit)]


def smallest_pairs(images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0) -> list[Pair]:
    """Return the two smallest of `eval_pairs`: if these can be measured, all of them can.

    UserError as from `eval_pairs`.
    """
    chosen = sorted(_first_by_key(images, limit), key=lambda i: images.sizes[i].min())
    return [_pair(images, i, data, scale) for i in chosen[:2]]


def _first_by_key(images: ImageSet, limit: int) -> list[int]:
    """Return the indices of the first `limit` images by key (0: all)."""
    return sorted(range(len(images)), key=images.keys.__getitem__)[: limit or None]


def input_protocol(data: DataConfig, pairs: bool = False) -> dict[str, object]:
    """Return the part of the evaluation protocol that decides how the network input is made from HR.

    Networks of equal scale and equal input protocol can be measured on the same pairs. The inputs of `pairs`
    came with the set.
    """
    facts: dict[str, object] = {"degradation": SHIPPED if pairs else data.degradation}
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
    pairs = bool(images.pairs_scale)
    facts: dict[str, object] = {"degradation": "", "images": images.digest}
    facts |= input_protocol(data, pairs)
    if not images.format.is_rgb8:
        facts["pixels"] = str(images.format)
    if data.eval_crop_px:
        facts["crop"] = f"{data.eval_crop_px} px, {data.eval_crop_at}"
    return facts


def _pair(images: ImageSet, i: int, data: DataConfig, scale: int) -> Pair:
    images.check_scale(scale)
    images.check_format(data.pixels)
    key, image, side, grid = images.keys[i], images[i], data.eval_crop_px, images.pairs_scale or 1
    height, width = images.sizes[i].tolist()
    top = left = 0
    if side:
        if min(height, width) < side or side % grid:
            raise UserError(
                f"data.eval_crop_px={side} must be a multiple of {grid} and at most the sides of image {key} "
                f"({width}x{height} px)"
                if grid > 1
                else f"data.eval_crop_px={side} is larger than image {key} ({width}x{height} px)"
            )
        room = ((height - side) // grid, (width - side) // grid)
        top, left = (grid * n for n in sampling.eval_position(key, *room, data.eval_crop_at))
        height = width = side
    height, width = (n // scale * scale for n in (height, width))
    hr = image[top : top + height, left : left + width].copy()
    if images.pairs_scale:
        top, left, height, width = (n // scale for n in (top, left, height, width))
        lr_image = images.inputs.image(i)[top : top + height, left : left + width].copy()
        return Pair(key, hr, lr_image, images.format)
    small = network_input(torch.from_numpy(hr).permute(2, 0, 1)[None], scale, data)
    return Pair(key, hr, np.ascontiguousarray(small[0].permute(1, 2, 0).numpy()), images.format)
