"""The settings that make up a design: generator, discriminator and loss, and which of them go together.

Part of the tree of trainers/config.py, which holds everything about a run that is not its design. A setting
that a network cannot follow is refused here rather than ignored, so that two designs with different
settings are two different designs.
"""

from dataclasses import dataclass

from datasets.errors import UserError, unknown

GENERATORS = ("srresnet", "leftthomas", "rrdb", "srcnn_915", "srcnn_955")
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
COLORS = ("rgb", "y")
DISCRIMINATORS = ("size_free", "paper", "esrgan", "patch", "unet_sn")
DISCRIMINATOR_NORMS = (*NORMS, "layer", "spectral")
ACTIVATIONS = ("leaky_relu", "prelu")
PIXEL_LOSSES = ("l1", "l2", "charbonnier")
ADVERSARIAL_LOSSES = (
    "vanilla",
    "relativistic",
    "relativistic_halved",
    "linear",
    "lsgan",
    "hinge",
    "wgan_gp",
)
SMOOTHABLE = ("vanilla", "lsgan")
PERCEPTUAL_NETWORKS = ("vgg16", "vgg19")
VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions, ended by a pool each
CONTENT_CRITERIA = ("l2", "l1")


def content_layers(network: str) -> tuple[str, ...]:
    """Names of the layers of VGG16 or VGG19 in their order: convB_N, and poolB at the end of block B."""
    return tuple(
        name
        for block, convolutions in enumerate(VGG_BLOCKS[network], 1)
        for name in (*(f"conv{block}_{n}" for n in range(1, convolutions + 1)), f"pool{block}")
    )


def at_least(section: str, config: object, low: float, *names: str) -> None:
    """Refuses a field of `config` below `low`, under its dotted name."""
    for name in names:
        if getattr(config, name) < low:
            raise UserError(f"{section}.{name} must be at least {low}, but got {getattr(config, name)}")


def _known(section: str, config: object, *rows: tuple[str, str, tuple[str, ...]]) -> None:
    for kind, field, names in rows:
        if getattr(config, field) not in names:
            raise unknown(kind, getattr(config, field), names, f"{section}.{field}")


def _must_be(section: str, config: object, field: str, wanted: object, why: str) -> None:
    if getattr(config, field) != wanted:
        raise UserError(f"{section}.{field} must be {wanted} ({why}), but got {getattr(config, field)}")


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The network that upscales."""

    kind: str = "srresnet"
    """Network family: srresnet, leftthomas (its public variant), rrdb (ESRGAN), srcnn_915 or srcnn_955."""
    scale: int = 4
    """Magnification: HR side over LR side."""
    num_blocks: int = 16
    """Residual blocks, or RRDBs; more sees more context and costs more. 1 for srcnn."""
    channels: int = 64
    """Feature channels of the trunk; of the first layer in srcnn, whose second has half as many."""
    growth: int = 32
    """Channels that each convolution of a dense block adds; rrdb only."""
    norm: str = "batch"
    """Normalisation inside the residual blocks: batch or none."""
    upsampler: str = "pixel_shuffle"
    """How features grow: pixel_shuffle, transposed_conv (kernel divisible by stride), transposed_conv_2
    (kernel equal to it), transposed_conv_3 (not divisible, as often published), nearest_conv,
    interp_transposed (nearest neighbour, then one transposed convolution), or bicubic_input (srcnn: the
    image grows before the network sees it)."""
    icnr: bool = False
    """Start pixel_shuffle as nearest-neighbour upsampling (Aitken et al., 2017), against checkerboards."""
    global_skip: str = "none"
    """none as in the papers; bicubic adds the network's output to the bicubic image (short budgets)."""
    unshuffle_input: bool = False
    """rrdb at scale 1 or 2: fold the input to a quarter of the final size first, as public x2 weights do."""
    colors: str = "rgb"
    """srcnn: rgb, or y to restore luma only and keep bicubic chroma (Dong et al., 2014)."""

    def __post_init__(self) -> None:
        _known(
            "generator",
            self,
            ("generator", "kind", GENERATORS),
            ("norm", "norm", NORMS),
            ("upsampler", "upsampler", UPSAMPLERS),
            ("global skip", "global_skip", GLOBAL_SKIPS),
            ("colors", "colors", COLORS),
        )
        if self.scale not in (1, 2, 3, 4, 8, 16):
            raise UserError(f"generator.scale must be 1, 2, 3, 4, 8 or 16, but got {self.scale}")
        at_least("generator", self, 1, "num_blocks", "growth")
        at_least("generator", self, 2 if self.kind.startswith("srcnn") else 1, "channels")
        self._check_kind()
        self._check_upsampler()

    def _check_kind(self) -> None:
        if self.kind.startswith("srcnn"):
            _must_be("generator", self, "num_blocks", 1, f"{self.kind} has three layers")
            _must_be("generator", self, "upsampler", "bicubic_input", f"{self.kind} never upsamples features")
        if self.kind == "rrdb" or self.kind.startswith("srcnn"):
            _must_be("generator", self, "norm", "none", f"{self.kind} has no normalisation")
        else:
            _must_be("generator", self, "unshuffle_input", False, "belongs to rrdb")
        if self.kind != "rrdb":
            _must_be("generator", self, "growth", 32, "belongs to rrdb, leave it")
        if not self.kind.startswith("srcnn"):
            _must_be("generator", self, "colors", "rgb", "y belongs to srcnn")
        if self.kind == "leftthomas":
            _must_be("generator", self, "global_skip", "none", "tanh bounds the output of leftthomas")
        if self.unshuffle_input and self.scale not in (1, 2):
            raise UserError(
                f"generator.unshuffle_input needs generator.scale 1 or 2, but got scale {self.scale}"
            )

    def _check_upsampler(self) -> None:
        if self.upsampler == "bicubic_input" and not self.kind.startswith("srcnn"):
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


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The network that tells generated from real images."""

    kind: str = "size_free"
    """size_free (pooled head, any image size), paper (SRGAN's dense head), esrgan, patch or unet_sn."""
    image_px: int = 96
    """Side of the square images that paper and esrgan are built for: data.crop_px."""
    base_channels: int = 64
    """Channels of the first layer; later layers hold up to eight times as many."""
    num_layers: int = 8
    """Convolutions before the head; every second one halves the image. patch counts all of its own (5 as
    published), unet_sn has 10."""
    norm: str = "batch"
    """Normalisation after each convolution but the first: batch, layer (over channels and pixels) or none;
    spectral instead bounds every weight."""
    activation: str = "leaky_relu"
    """leaky_relu as in the papers, or prelu."""

    def __post_init__(self) -> None:
        _known(
            "discriminator",
            self,
            ("discriminator", "kind", DISCRIMINATORS),
            ("norm", "norm", DISCRIMINATOR_NORMS),
            ("activation", "activation", ACTIVATIONS),
        )
        at_least("discriminator", self, 1, "base_channels", "num_layers", "image_px")
        if self.kind == "unet_sn":
            _must_be("discriminator", self, "norm", "spectral", "unet_sn is spectrally normalised")
            _must_be("discriminator", self, "num_layers", 10, "unet_sn has ten convolutions")
        if self.kind == "patch" and not 3 <= self.num_layers <= 6:
            raise UserError(f"discriminator.num_layers of patch must be 3 to 6, but got {self.num_layers}")
        if self.kind == "esrgan" and self.image_px != 4 * 2 ** (self.num_layers / 2):
            raise UserError(
                "esrgan ends at 4x4 features, so discriminator.image_px must be 4 * 2^(num_layers/2) (128 "
                f"for 10 layers), but got {self.image_px} px and {self.num_layers} layers"
            )

    @property
    def fixed_size(self) -> bool:
        """Whether the network takes images of `image_px` only."""
        return self.kind in ("paper", "esrgan")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What the networks are asked for in the GAN phase (the PSNR phase uses the pixel loss alone)."""

    pixel: str = "l2"
    """Pixel loss of both phases: l1, l2 or charbonnier, on images scaled to [-1, 1]."""
    pixel_colors: str = "rgb"
    """rgb, or y for the loss on BT.601 luma alone (SRCNN)."""
    pixel_weight: float = 0.0
    """Weight of the pixel loss in the GAN phase."""
    content_weight: float = 1.0
    """Weight of the loss between VGG features of generated and real images."""
    content_network: str = "vgg19"
    """Network whose features are compared."""
    content_layer: str = "conv5_4"
    """Convolution or pool whose features are compared: convB_N of VGG's block B, or poolB."""
    content_activation: bool = True
    """Compare after the ReLU (SRGAN) or before it (ESRGAN)."""
    content_normalise: bool = True
    """Normalise VGG's input as its weights expect; leftthomas' public SRGAN does not."""
    content_scale: float = 1 / 12.75
    """Factor on the features: 1/12.75 in SRGAN (Ledig et al., 2017, sec. 3.2), 1 in ESRGAN."""
    content_criterion: str = "l2"
    """Distance of the features: l2 (SRGAN) or l1 (ESRGAN)."""
    content_weights: str = "imagenet"
    """imagenet (downloaded once), a path to a torchvision state file, or random (named so in every table)."""
    adversarial: str = "vanilla"
    """Adversarial loss: vanilla, relativistic (average; both terms summed as published, or
    relativistic_halved as in BasicSR), linear (leftthomas), lsgan, hinge or wgan_gp."""
    adversarial_weight: float = 1e-3
    """Weight of the adversarial loss; larger looks sharper and strays further from the target."""
    label_smoothing: float = 0.0
    """The discriminator's target for real images is 1 minus this; vanilla and lsgan only."""
    r1_weight: float = 0.0
    """Weight of R1, the squared gradient of D at real images; larger slows the discriminator."""
    gradient_penalty_weight: float = 0.0
    """Weight of WGAN-GP's penalty: 10 in its paper, needed by wgan_gp and by nothing else."""
    tv_weight: float = 0.0
    """Weight of total variation; larger is smoother."""

    def __post_init__(self) -> None:
        _known(
            "loss",
            self,
            ("pixel loss", "pixel", PIXEL_LOSSES),
            ("pixel colors", "pixel_colors", COLORS),
            ("adversarial loss", "adversarial", ADVERSARIAL_LOSSES),
            ("content network", "content_network", PERCEPTUAL_NETWORKS),
            ("content criterion", "content_criterion", CONTENT_CRITERIA),
        )
        at_least("loss", self, 0, "pixel_weight", "content_weight", "adversarial_weight", "tv_weight")
        at_least("loss", self, 0, "r1_weight", "gradient_penalty_weight")
        _known("loss", self, ("content layer", "content_layer", content_layers(self.content_network)))
        if self.content_layer.startswith("pool"):
            _must_be("loss", self, "content_activation", True, "a pool comes after its ReLU")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"loss.label_smoothing must be in [0, 1), but got {self.label_smoothing}")
        if self.label_smoothing and self.adversarial not in SMOOTHABLE:
            _must_be("loss", self, "label_smoothing", 0.0, f"{self.adversarial} has no labels")
        if (self.adversarial == "wgan_gp") != (self.gradient_penalty_weight > 0):
            raise UserError(
                "loss.gradient_penalty_weight and loss.adversarial wgan_gp need each other (10 as published),"
                f" but got {self.adversarial} and {self.gradient_penalty_weight}"
            )


def check_designs_together(discriminator: DiscriminatorConfig, loss: LossConfig, crop_px: int) -> None:
    """Refuses what each section allows alone but not beside the others."""
    if loss.adversarial == "wgan_gp" and discriminator.norm == "batch":
        raise UserError(
            "loss.adversarial wgan_gp penalises the gradient of each image alone, which batch norm mixes: "
            "set discriminator.norm to layer or none (Gulrajani et al., 2017, sec. 4)"
        )
    if discriminator.fixed_size and discriminator.image_px != crop_px:
        raise UserError(
            f"discriminator.image_px must equal data.crop_px={crop_px} for the {discriminator.kind} "
            f"discriminator, but got {discriminator.image_px}"
        )
