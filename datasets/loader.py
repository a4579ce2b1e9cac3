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
from datasets.manifest import IndexRow, LrRow, Manifest
from datasets.network_input import needs_host, network_input
from datasets.pixels import RGB8, PixelFormat
from datasets.upload import one_ahead, pinned, prepared, upload

_Place = tuple[shuffle_buffer.Sample, np.int64, np.int64]
"""A sample, and top and left of its HR crop."""


@dataclass(frozen=True)
class Batch:
    """A training batch on the device, float32 in [0, 1], with the bands of the images (RGB: 3)."""

    hr: Tensor
    """Targets, (N, bands, crop, crop)."""
    lr_image: Tensor
    """Network inputs made from `hr`, (N, bands, crop/scale, crop/scale); of scale 1, as large as `hr`."""
    indices: np.ndarray
    """Index in the image set of each crop's image, int64 (N,)."""


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
        _check(images, data, scale, rank, world)
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
            inputs = self._corrupted(pixels, epochs, indices)
        hr = self._augmented(pixels, epochs, indices)
        lr_image = None
        if inputs is not None:
            lr_image = self._augmented(inputs, epochs, indices).permute(0, 3, 1, 2).contiguous()
        elif needs_host(self.data):
            lr_image = network_input(hr.permute(0, 3, 1, 2).contiguous(), self.scale, self.data)
        if lr_image is not None:
            lr_image = pinned(lr_image, self.device)
        return _Crops(pinned(hr, self.device), lr_image, indices)

    def _corrupted(self, pixels: np.ndarray, epochs: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Return the random inputs of uint8 crops, (N, crop/scale, crop/scale, 3)."""
        assert self._corrupt is not None
        words = [(self.data.order_seed, int(e), int(i)) for e, i in zip(epochs, indices, strict=True)]
        return np.stack(list(self._pool.map(self._corrupt, pixels, words)))

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
        size, side, threads = self.data.batch_size, self.data.crop_px, usable_cpus()
        scale = self.images.pairs_scale
        source = shuffle_buffer.stream(self.images, self.data.order_seed, step * size)
        with ThreadPoolExecutor(threads) as pool:
            while True:
                batch = list(islice(source, size))[self.mine]
                indices = np.array([s.index for s in batch])
                epochs = np.array([s.epoch for s in batch])
                of = self.images.format
                pixels = np.empty((len(batch), side, side, of.channels), of.dtype)
                small = (len(batch), side // scale, side // scale, of.channels) if scale else ()
                inputs = np.empty(small, of.dtype) if scale else None
                places = zip(batch, *self._crop_positions(indices, epochs), strict=True)
                slots = list(zip(pixels, pixels if inputs is None else inputs, places, strict=True))
                # One task per thread, not per image: starting a task takes a tenth of the time of a decode.
                list(pool.map(self._decode, (slots[i::threads] for i in range(threads))))
                yield self._crops(pixels, inputs, epochs, indices)

    def _decode(self, slots: list[tuple[np.ndarray, np.ndarray, _Place]]) -> None:
        """Decode crops of samples into their slots (HR, LR); without pairs only HR."""
        manifest, scale = self.images.manifest, self.images.pairs_scale
        for hr, lr_image, (sample, top, left) in slots:
            row = self.images.rows[sample.index]
            _decode_into(hr, sample.files[0], row, manifest, int(top), int(left))
            if row.lr_image:
                _decode_into(
                    lr_image, sample.files[1], row.lr_image, manifest, int(top) // scale, int(left) // scale
                )

    def _crop_positions(self, indices: np.ndarray, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return top and left of each HR crop in pixels; those of pairs begin with a whole LR pixel."""
        grid = self.images.pairs_scale or 1
        places = sampling.crop_positions(
            self.data.order_seed,
            epochs,
            indices,
            self.images.sizes[indices] // grid,
            self.data.crop_px // grid,
        )
        return places[0] * grid, places[1] * grid


def _decode_into(
    out: np.ndarray, data: bytes, row: IndexRow | LrRow, manifest: Manifest, top: int, left: int
) -> None:
    out[:] = codec.decode_crop(data, row, manifest.transform, manifest.pixels, top, left, len(out))


@dataclass(frozen=True)
class _Crops:
    """A batch on the host, before it goes to the device; pinned in memory if that is CUDA."""

    pixels: Tensor
    """(N, crop, crop, bands) in the type of the images."""
    lr_image: Tensor | None
    """Network input (N, bands, crop/scale, crop/scale); None if the device makes it from `pixels`."""
    indices: np.ndarray


def _check(images: ImageSet, data: DataConfig, scale: int, rank: int, world: int) -> None:
    images.check_training(data, scale)
    if not 0 <= rank < world or data.batch_size % world:
        raise UserError(f"data.batch_size={data.batch_size} must be a multiple of the {world} ranks")


def eval_pairs(images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0) -> list[Pair]:
    """Return HR and network input of the first `limit` images by key (0: all), cropped to whole LR pixels.

    If data.eval_crop_px is set, only a square is used: the centre, or one derived from the key. UserError if
    an image is smaller than the square.
    """
    return [_pair(images, i, data, scale) for i in _first_by_key(images, limit)]


def smallest_pairs(
    images: ImageSet, data: DataConfig, scale: int, *, limit: int = 0, count: int = 2
) -> list[Pair]:
    """Return the `count` smallest of `eval_pairs`: if these can be measured, all of them can.

    UserError as from `eval_pairs`.
    """
    chosen = sorted(_first_by_key(images, limit), key=lambda i: images.sizes[i].min())
    return [_pair(images, i, data, scale) for i in chosen[:count]]


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
