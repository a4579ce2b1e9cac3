"""The data settings of a run, checked before anything is opened."""

import dataclasses
import warnings
from dataclasses import dataclass

from datasets.corruption_text import parse
from datasets.errors import UserError, unknown
from datasets.pixels import RGB, PixelFormat

MODES = ("cached", "streamed")
DEGRADATIONS = ("matlab", "matlab_replicate", "matlab_float", "pil", "torch_antialias")
INPUTS = ("image", "grey", "edges")
EVAL_CROPS = ("centre", "key")
SHIPPED = "shipped"
"""The degradation, in protocols, of pairs whose LR images came with them."""
ROLES = ("train", "val", "test", "gate")
DECIDABLE = 30
"""Images with which the gate decides (registry.gate.Thresholds.min_images) and a verdict on test is given."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Sources of images, training crops, and how the network input is made."""

    train: str = "demo"
    """Training images: a folder or zip, a shard folder or URL, or a catalogue name."""
    val: str = ""
    """Images to evaluate during training and to choose checkpoints; empty: the val split of data.train."""
    test: str = ""
    """Images for the test stage only; empty: the test split of data.train."""
    gate: str = ""
    """Images for promotion only; empty: the gate split of data.train."""
    crop_px: int = 96
    """Side of the square HR training crop in pixels; larger crops show more context and cost more."""
    batch_size: int = 16
    """HR crops per generator update."""
    flip: bool = True
    """Mirror half of the training crops left to right."""
    rotate: bool = False
    """Turn each training crop by 0, 90, 180 or 270 degrees; not for images with a top and a bottom."""
    mode: str = "cached"
    """cached: decoded once per node and memory-mapped; streamed: JPEG bytes read from the shards."""
    degradation: str = "matlab"
    """Resizing that makes the network input from HR; metrics of different degradations are not comparable.
    Pairs have their own inputs."""
    train_degradation: str = ""
    """Random degradation of training inputs alone, drawn anew for each image and epoch: bsrgan, real_esrgan
    or steps such as blur:0.2-3,down,noise:1-25,jpeg:30-95 (also resize, grey_noise, poisson, sinc); + between
    several draws one of them for each image. Empty: data.degradation, which always makes what is measured."""
    psnr_degradation: str = ""
    """data.train_degradation of the PSNR phase; empty: the same. A sweep whose space varies
    data.train_degradation sets it to the mixture of all values, so that its trials share warm starts."""
    bands: tuple[str, ...] = RGB
    """Bands of the images, as their import named them; a run takes them over from data.train."""
    peak: int = 255
    """The value of white of the images, above 255 for 16-bit files; a run takes it over from data.train."""
    input: str = "image"
    """Content of the network input: image, grey (for colorization) or edges (Canny)."""
    canny_sigma: float = 1.0
    """Standard deviation of the blur before edge detection, in pixels; larger keeps only coarse outlines."""
    canny_low: float = 0.1
    """Gradient that continues an edge, for images in [0, 1]."""
    canny_high: float = 0.2
    """Gradient that starts an edge; larger gives fewer."""
    order_seed: int = 0
    """Seed of image order, crops and flips; runs with equal seeds see equal data."""
    eval_images: int = 64
    """Val images measured at each evaluation (the first N by key); 0 means all."""
    eval_crop_px: int = 0
    """Side of the square crop measured in val, test and gate; 0 means the whole image."""
    eval_crop_at: str = "centre"
    """Position of that crop: centre, or key: derived from the image's key, so equal in every run."""
    cache_gb: float = 0.0
    """Disk space for decoded images and fetched shards per machine; 0 means no limit."""

    def __post_init__(self) -> None:
        choices = {
            "mode": ("data mode", MODES),
            "degradation": ("degradation", DEGRADATIONS),
            "input": ("network input", INPUTS),
            "eval_crop_at": ("place of evaluation crops", EVAL_CROPS),
        }
        for name, (kind, known) in choices.items():
            if getattr(self, name) not in known:
                raise unknown(kind, getattr(self, name), known, f"data.{name}")
        for name in ("train_degradation", "psnr_degradation"):
            if text := getattr(self, name):
                parse(text, DEGRADATIONS)
                if self.input != "image":
                    raise UserError(f"data.{name} needs data.input image, but got {self.input}")
        self._check_pixels()
        if not 0 <= self.canny_low <= self.canny_high or self.canny_sigma < 0:
            raise UserError(
                f"data.canny_low and data.canny_high must be 0 or more in this order and data.canny_sigma "
                f"0 or more, but got {self.canny_low}, {self.canny_high} and {self.canny_sigma}"
            )
        for name in ("crop_px", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"data.{name} must be at least 1, but got {getattr(self, name)}")
        for name in ("eval_images", "eval_crop_px", "order_seed", "cache_gb"):
            if getattr(self, name) < 0:
                raise UserError(f"data.{name} must be 0 or more, but got {getattr(self, name)}")
        self._warn_of_ignored()

    @property
    def pixels(self) -> PixelFormat:
        """Bands and range of the images."""
        return PixelFormat(self.bands, self.peak)

    def _check_pixels(self) -> None:
        """Raise UserError for what only photographs in 8-bit RGB can do."""
        only = {"input": "image", "train_degradation": "", "psnr_degradation": ""}
        wrong = [name for name, value in only.items() if getattr(self, name) != value]
        wrong += ["degradation"] if self.degradation == "pil" else []
        if wrong and not self.pixels.is_rgb8:
            raise UserError(
                f"data.{wrong[0]} {getattr(self, wrong[0])} is made for 8-bit RGB, but the images have the "
                f"bands {self.pixels}"
            )

    def _warn_of_ignored(self) -> None:
        """Warn of settings that were given but have no effect."""
        idle = {"eval_crop_at": "data.eval_crop_px is 0"} if not self.eval_crop_px else {}
        if self.input != "edges":
            canny = ("canny_sigma", "canny_low", "canny_high")
            idle |= dict.fromkeys(canny, f"data.input is {self.input}, not edges")
        for field in dataclasses.fields(self):
            if field.name in idle and getattr(self, field.name) != field.default:
                text = f"data.{field.name} is ignored: {idle[field.name]}"
                warnings.warn(text, stacklevel=4)  # the line that made the configuration

    def source(self, role: str) -> str:
        """Return the dataset for `role`: its own field, or data.train if that is empty."""
        return getattr(self, role) or self.train
