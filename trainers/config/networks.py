"""Settings of the generator and the discriminator, and the combinations that are refused.

A setting that a network cannot use is refused, not ignored: different settings mean different networks.
"""

from dataclasses import dataclass, fields
from typing import Any

from datasets.errors import UserError
from trainers.config.checks import at_least, known, must_be
from trainers.config.generators import GENERATORS, SCALES, size_arguments
from trainers.config.loss import COLORS, LossConfig

NORMS = ("batch", "none")
UPSAMPLERS = (
    "pixel_shuffle",
    "transposed_conv",
    "transposed_conv_2",
    "transposed_conv_3",
    "nearest_conv",
    "interp_transposed",
    "bicubic_input",
)
GLOBAL_SKIPS = ("none", "bicubic")
DISCRIMINATORS = ("size_free", "paper", "esrgan", "patch", "unet_sn")
DISCRIMINATOR_NORMS = (*NORMS, "layer", "spectral")
ACTIVATIONS = ("leaky_relu", "prelu")


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Settings of the generator, the network that upscales."""

    kind: str = "srresnet"
    """Network family: srresnet, leftthomas (its public variant), rrdb (ESRGAN), srcnn_915, srcnn_955, a
    public architecture (compact, span, plksr, realplksr, mosr, omnisr, swinir, dat, rcan), or FILE.py:NAME,
    your own class or function: called with these settings, it returns a module, (N, 3, h, w) in [0, 1] ->
    (N, 3, scale*h, scale*w)."""
    size: str = ""
    """Published size of a public architecture: conv16, conv32 (compact); ch48, ch52 (span); base, tiny
    (plksr); light, classical (swinir); light, s, 2, base (dat); base (the others); empty: the first. A JSON
    object gives arguments of spandrel's class, as --start writes for a file of another size."""
    scale: int = 4
    """Magnification: HR side over LR side."""
    num_blocks: int = 16
    """Residual blocks, or RRDBs; more blocks see more context and cost more. 1 for srcnn."""
    channels: int = 64
    """Feature channels of the trunk; of the first layer in srcnn, whose second has half as many."""
    growth: int = 32
    """Channels that each convolution of a dense block adds; rrdb only."""
    norm: str = "batch"
    """Normalisation inside the residual blocks: batch or none."""
    upsampler: str = "pixel_shuffle"
    """Upsampling of features: pixel_shuffle, transposed_conv (kernel divisible by stride), transposed_conv_2
    (kernel equal to it), transposed_conv_3 (not divisible, as often published), nearest_conv,
    interp_transposed (nearest neighbour, then one transposed convolution), or bicubic_input (srcnn: the
    network reads the bicubic image)."""
    icnr: bool = False
    """Start pixel_shuffle as nearest-neighbour upsampling (Aitken et al., 2017); avoids checkerboards."""
    global_skip: str = "none"
    """none as in the papers; bicubic adds the network's output to the bicubic image, for short budgets."""
    unshuffle_input: bool = False
    """rrdb at scale 1 or 2: fold the input to a quarter of the final size first, as public x2 weights do."""
    image_channels: int = 3
    """Bands of the images; srresnet, rrdb and srcnn with more or fewer than three take them from the data."""
    colors: str = "rgb"
    """srcnn: rgb, or y to restore luma only and keep bicubic chroma (Dong et al., 2014)."""

    def __post_init__(self) -> None:
        known(
            "generator",
            self,
            ("generator", "kind", GENERATORS),
            ("norm", "norm", NORMS),
            ("upsampler", "upsampler", UPSAMPLERS),
            ("global skip", "global_skip", GLOBAL_SKIPS),
            ("colors", "colors", COLORS),
        )
        at_least("generator", self, 1, "num_blocks", "growth", "image_channels")
        if self.colors == "y":
            must_be("generator", self, "image_channels", 3, "generator.colors y reads RGB")
        at_least("generator", self, 2 if self.kind.startswith("srcnn") else 1, "channels")
        self._check_kind()
        self._check_upsampler()

    @property
    def smallest_batch(self) -> int:
        """Images that the network needs at once in training."""
        return GENERATORS[self.kind].smallest_batch

    def _check_kind(self) -> None:
        row = GENERATORS[self.kind]
        if self.scale not in row.scales:
            of = "" if row.scales == SCALES else f" of {self.kind}"
            *most, last = map(str, row.scales)
            raise UserError(f"generator.scale{of} must be {', '.join(most)} or {last}, but got {self.scale}")
        for name, value in unread_settings(self.kind).items():
            must_be("generator", self, name, value, f"{self.kind} {row.why(name)}")
        if row.public:
            size_arguments(self.kind, self.size)
        if self.unshuffle_input and self.scale not in (1, 2):
            raise UserError(
                f"generator.unshuffle_input needs generator.scale 1 or 2, but got scale {self.scale}"
            )

    def _check_upsampler(self) -> None:
        if GENERATORS[self.kind].own:
            return
        if self.upsampler == "bicubic_input" and "upsampler" in GENERATORS[self.kind].reads:
            raise UserError(
                f"generator.upsampler bicubic_input belongs to srcnn, but generator.kind is {self.kind}"
            )
        if self.upsampler == "interp_transposed" and self.scale < 4:
            raise UserError(
                "generator.upsampler interp_transposed needs two doublings, but generator.scale is "
                f"{self.scale}"
            )
        if self.icnr and self.upsampler != "pixel_shuffle":
            raise UserError("generator.icnr belongs to pixel_shuffle only; set generator.icnr False")


def unread_settings(kind: str) -> dict[str, Any]:
    """Return the only allowed value of each field of GeneratorConfig that generator `kind` does not read."""
    row = GENERATORS[kind]
    if row.own:
        return {}
    return {
        f.name: row.fixed.get(f.name, f.default)
        for f in fields(GeneratorConfig)
        if f.name not in ("kind", "scale", *row.reads)
    }


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Settings of the discriminator, the network that separates generated from real images."""

    kind: str = "size_free"
    """size_free (pooled head, any image size), paper (SRGAN's dense head), esrgan, patch or unet_sn."""
    image_channels: int = 3
    """Bands of the images."""
    image_px: int = 96
    """Side in pixels of the square images that paper and esrgan accept; must equal data.crop_px."""
    base_channels: int = 64
    """Channels of the first layer; later layers have up to eight times as many."""
    num_layers: int = 8
    """Convolutions before the head; every second one halves the image. For patch, all convolutions (5 as
    published); unet_sn has 10."""
    norm: str = "batch"
    """Normalisation after each convolution but the first: batch, layer (over channels and pixels) or none;
    spectral instead bounds every weight."""
    activation: str = "leaky_relu"
    """leaky_relu as in the papers, or prelu."""

    def __post_init__(self) -> None:
        known(
            "discriminator",
            self,
            ("discriminator", "kind", DISCRIMINATORS),
            ("norm", "norm", DISCRIMINATOR_NORMS),
            ("activation", "activation", ACTIVATIONS),
        )
        at_least("discriminator", self, 1, "base_channels", "num_layers", "image_px", "image_channels")
        if self.kind == "unet_sn":
            must_be("discriminator", self, "norm", "spectral", "unet_sn is spectrally normalised")
            must_be("discriminator", self, "num_layers", 10, "unet_sn has ten convolutions")
        if self.kind == "patch" and not 3 <= self.num_layers <= 6:
            raise UserError(f"discriminator.num_layers of patch must be 3 to 6, but got {self.num_layers}")
        if self.kind == "esrgan" and self.image_px != 4 * 2 ** (self.num_layers / 2):
            raise UserError(
                "esrgan ends at 4x4 features, so discriminator.image_px must be 4 * 2^(num_layers/2) (128 "
                f"for 10 layers), but got {self.image_px} px and {self.num_layers} layers"
            )


def check_designs_together(discriminator: DiscriminatorConfig, loss: LossConfig, crop_px: int) -> None:
    """Raise UserError for combinations of sections that each section alone allows."""
    if loss.adversarial == "wgan_gp" and discriminator.norm == "batch":
        raise UserError(
            "loss.adversarial wgan_gp penalises the gradient of each image alone, which batch norm mixes: "
            "set discriminator.norm to layer or none (Gulrajani et al., 2017, sec. 4)"
        )
    takes_one_size = discriminator.kind in ("paper", "esrgan")
    if takes_one_size and discriminator.image_px != crop_px:
        raise UserError(
            f"discriminator.image_px must equal data.crop_px={crop_px} for the {discriminator.kind} "
            f"discriminator, but got {discriminator.image_px}"
        )
