"""Evaluation of a generator: per-image values of metrics, their summary, and the protocol of each value.

The network runs over batches of equally shaped images; its output is clipped and rounded to the depth of
the images, then measured. What depends only on the HR images is computed once per evaluator.
datasets/loader.py makes the pairs; trainers/metrics defines the metrics.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from datasets.arithmetic import on_sound_cores
from datasets.config import DEGRADATIONS
from datasets.degrade import up
from datasets.errors import UserError, unknown
from datasets.pixels import PixelFormat
from trainers.inference.tiling import in_tiles
from trainers.metrics import Metric, require
from trainers.metrics.image_view import View, Views, same_shaped
from trainers.numerics import measuring_numerics

BATCH_PIXELS = 1 << 17  # input pixels per forward pass: eight 128 x 128 inputs, or one larger image
TILE_MB = 4096  # of feature maps: whole images of 2K, larger ones in tiles, which give the same pixels
RESIZERS = ("bicubic", "nearest", "lanczos")


class EvaluationPair(Protocol):
    """An HR image (H, W, bands) and its input (h, w, bands) of `format`; datasets.loader.Pair is one.

    Both may be grey, uint8 (H, W) and (h, w), as some benchmark images are.
    """

    @property
    def key(self) -> str: ...
    @property
    def hr(self) -> np.ndarray: ...
    @property
    def lr_image(self) -> np.ndarray: ...
    @property
    def format(self) -> PixelFormat: ...


@dataclass(frozen=True)
class Evaluation:
    """Measured values and their protocols."""

    keys: list[str]
    """Image keys in the order of the per-image values."""
    per_image: dict[str, list[float]]
    """Metric -> one value per image; set-level metrics are absent."""
    summary: dict[str, float]
    """Metric -> mean over images, or the value of the set."""
    protocol: dict[str, str]
    """Metric -> protocol: only values of equal protocols may be compared."""


def to_pixels(x: Tensor, peak: int = 255) -> np.ndarray:
    """Convert (N, C, H, W) in [0, 1] to (N, H, W, C) of 0 to `peak`: clipped, rounded half up.

    uint8, or uint16 if `peak` is above 255.
    """
    kind = torch.uint8 if peak <= 255 else torch.uint16
    pixels = x.float().clamp(0, 1).mul(peak).add(0.5).floor().to(kind)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def to_tensor(images: Sequence[np.ndarray], device: torch.device | str, peak: int = 255) -> Tensor:
    """Convert images (H, W, C) or (H, W) of 0 to `peak` and one shape to float32 (N, C, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(images)).to(device)
    if stacked.ndim == 3:
        stacked = stacked[..., None].expand(-1, -1, -1, 3)
    return stacked.permute(0, 3, 1, 2).float().div(peak)


@contextmanager
def _measuring(generator: object, device: torch.device) -> Iterator[None]:
    """Switch off gradients and TF32 and put a module into eval mode; restore all of them afterwards."""
    training = isinstance(generator, nn.Module) and generator.training
    if training:
        generator.eval()
    try:
        with torch.inference_mode(), measuring_numerics(device):
            yield
    finally:
        if training:
            generator.train()


class Evaluator:
    """Measurement of generators and classical resizers on one fixed set of pairs.

    `protocol` describes the pairs (role, digest, degradation, ...); it is appended, with scale, precision and
    number of images, to the protocol of every metric. Networks and metrics compute in float32 without TF32.

    Raises:
        UserError: there are no pairs, the sizes of a pair do not fit `scale` or a metric, or a metric is
            unknown or lacks its weights.
    """

    def __init__(
        self,
        pairs: Sequence[EvaluationPair],
        metrics: Sequence[str],
        *,
        scale: int,
        device: torch.device | str = "cpu",
        protocol: Mapping[str, object] | None = None,
    ) -> None:
        if not pairs:
            raise UserError("there are no images to measure; check data.val and data.eval_images")
        known = str((protocol or {}).get("degradation", "matlab")) in DEGRADATIONS
        # pairs that came as such cannot be made small again: their results have no LR consistency
        self.metrics = [m for m in require(metrics) if known or m.name != "lr_consistency"]
        self.format = pairs[0].format
        self.scale, self.device = scale, torch.device(device)
        self.keys = [pair.key for pair in pairs]
        self._inputs = [pair.lr_image for pair in pairs]
        facts = {"degradation": "matlab", **(protocol or {}), "scale": scale}
        facts |= {"precision": "fp32", "n": len(pairs)}
        self._hr = Views(
            (View(pair.hr, scale, pair.lr_image, self.format) for pair in pairs),
            device=self.device,
            degradation=str(facts["degradation"]),
        )
        for pair in pairs:
            _check_sizes(pair, scale, self.metrics)
        shapes = [image.shape for image in self._inputs]
        self._batches = same_shaped(shapes, lambda shape: BATCH_PIXELS // (shape[0] * shape[1]))
        suffix = "; ".join(f"{k}={v}" for k, v in facts.items())
        self.protocol = {m.name: f"{m.protocol}{_converted(m, self.format)}; {suffix}" for m in self.metrics}

    def measure(self, generator: Callable[[Tensor], Tensor]) -> Evaluation:
        """Measure `generator`, a function of (N, C, h, w) in [0, 1] to (N, C, scale*h, scale*w) (upscale)."""
        return self.measure_images(self.upscale(generator))

    def measure_resizer(self, kind: str) -> Evaluation:
        """Measure bicubic (of the degradation's family), or Pillow's nearest or lanczos, by name."""
        if kind not in RESIZERS:
            raise unknown("resizer", kind, RESIZERS)
        enlarge = partial(
            resize_up, scale=self.scale, kind=kind, degradation=self._hr.degradation, peak=self.format.peak
        )
        return self.measure_images([enlarge(image) for image in self._inputs])

    def upscale(self, generator: Callable[[Tensor], Tensor]) -> list[np.ndarray]:
        """Return the generated images in the order of `keys`, of the pairs' format and number of axes.

        FloatingPointError if the output is not finite for an image, which the message names.
        """
        out: dict[int, np.ndarray] = {}
        with _measuring(generator, self.device):
            for batch in self._batches:
                sr = self._generated(
                    generator, to_tensor([self._inputs[i] for i in batch], self.device, self.format.peak)
                )
                if not torch.isfinite(sr).all():  # waits for the device, as fetching the pixels does
                    keys = ", ".join(self.keys[i] for i in batch)
                    raise FloatingPointError(f"the generator's output is not finite for {keys}")
                grey = self._inputs[batch[0]].ndim == 2
                images = to_pixels(sr.mean(1, keepdim=True) if grey else sr, self.format.peak)
                out.update(zip(batch, images[..., 0] if grey else images, strict=True))
        return [out[i] for i in range(len(self.keys))]

    def _generated(self, generator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return generator(x); a network computes an image larger than a batch in tiles, if it must."""
        if isinstance(generator, nn.Module) and x.shape[-2] * x.shape[-1] > BATCH_PIXELS:
            return in_tiles(generator, x, scale=self.scale, memory_mb=TILE_MB)
        return generator(x)

    @on_sound_cores
    def measure_images(self, images: Sequence[np.ndarray]) -> Evaluation:
        """Measure finished images of the pairs' format, which are in the order of `keys`.

        ValueError if a shape differs from that of the HR image.
        """
        for key, image, hr in zip(self.keys, images, self._hr, strict=True):
            if image.shape != hr.pixels.shape:
                raise ValueError(f"{key} must be {hr.pixels.shape} like its HR image, but got {image.shape}")
        sr = self._views(images)
        per_image: dict[str, list[float]] = {}
        summary: dict[str, float] = {}
        with measuring_numerics(self.device):
            for metric in self.metrics:
                value = metric.function(sr, self._hr)
                if isinstance(value, list):
                    per_image[metric.name] = value
                    value = float(np.mean(value))
                summary[metric.name] = value
        return Evaluation(self.keys, per_image, summary, self.protocol)

    def differences(
        self, metric: str, images: Sequence[np.ndarray], others: Mapping[str, Sequence[np.ndarray]]
    ) -> dict[str, Callable[[np.ndarray], float]]:
        """Return set-level `metric` of `images` minus that of each of `others`, as functions of indices.

        Both are measured on equal images, as a jackknife of their difference requires. What the differences
        have in common is computed once for equal indices.

        Raises:
            UserError: `metric` is not a set-level metric of this evaluator.
        """
        on_subsets = next((m.on_subsets for m in self.metrics if m.name == metric), None)
        if on_subsets is None:
            raise UserError(
                f"{metric} is not a set-level metric of this evaluation; compare it image by image"
            )
        with measuring_numerics(self.device):
            distances = on_subsets([self._views(made) for made in (images, *others.values())], self._hr)
        known: dict[bytes, list[float]] = {}

        def difference(place: int, indices: np.ndarray) -> float:
            if (key := indices.tobytes()) not in known:
                known[key] = distances(indices)
            return known[key][0] - known[key][place]

        return {name: partial(difference, place) for place, name in enumerate(others, 1)}

    def _views(self, images: Sequence[np.ndarray]) -> Views:
        views = (
            View(image, self.scale, hr.lr_image, self.format)
            for image, hr in zip(images, self._hr, strict=True)
        )
        return Views(views, device=self.device, degradation=self._hr.degradation)


def _converted(metric: Metric, pixels: PixelFormat) -> str:
    """Return the part of a protocol that says how a metric of 8-bit RGB reads `pixels`; "" if it need not.

    UserError if it cannot.
    """
    if pixels.is_rgb8 or metric.reads == "bands":
        return ""
    if metric.reads == "rgb8" or pixels.rgb is None:
        instead = "psnr, ssim, sam or ergas" + (", or another perceptual one" if pixels.rgb else "")
        raise UserError(
            f"metric {metric.name} reads {'8-bit RGB' if pixels.rgb else 'red, green and blue'}, but the "
            f"images have the bands {pixels}; set objective.distortion and objective.perceptual to {instead}"
        )
    return f"; of {pixels.bands[0] if pixels.channels == 1 else 'red, green, blue'} rounded to 8 bit"


def _check_sizes(pair: EvaluationPair, scale: int, metrics: Sequence[Metric]) -> None:
    wanted = (pair.lr_image.shape[0] * scale, pair.lr_image.shape[1] * scale)
    if pair.hr.shape[:2] != wanted:
        raise UserError(
            f"the HR image of {pair.key} must be {wanted} for generator.scale={scale}, "
            f"but is {pair.hr.shape[:2]}"
        )
    side = min(pair.hr.shape[:2]) - 2 * scale
    for metric in metrics:
        if side < metric.min_side:
            raise UserError(
                f"metric {metric.name} needs images of at least {metric.min_side + 2 * scale} px a side, but "
                f"{pair.key} has {side + 2 * scale}; leave it out or measure larger images"
            )


def resize_up(
    image: np.ndarray, scale: int, kind: str, degradation: str = "matlab", peak: int = 255
) -> np.ndarray:
    """Upscale (h, w, bands) or (h, w) of 0 to `peak` by `scale` with a kernel of RESIZERS.

    Bicubic uses the family of `degradation`, MATLAB's if the inputs came with their data set. UserError for
    lanczos if the image is not 8-bit with one or three bands.
    """
    if kind == "bicubic":
        planes = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        family = degradation if degradation in DEGRADATIONS else DEGRADATIONS[0]
        sr = up(torch.from_numpy(planes.copy()).permute(2, 0, 1)[None], scale, family, peak)[0]
        return (sr.permute(1, 2, 0) if image.ndim == 3 else sr[0]).numpy()
    if kind == "nearest":
        return image.repeat(scale, axis=0).repeat(scale, axis=1)
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
        raise UserError("lanczos is Pillow's, which resizes 8-bit RGB and grey only")
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
