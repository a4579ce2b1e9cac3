"""Settings of the losses of the GAN phase."""

from dataclasses import dataclass

from datasets.errors import UserError
from trainers.config.checks import at_least, below_one, known, must_be

COLORS = ("rgb", "y")
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
VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions per block; a pool ends each
CONTENT_CRITERIA = ("l2", "l1")


def content_layers(network: str) -> tuple[str, ...]:
    """Return the layer names of VGG16 or VGG19 in order: convB_N, and poolB at the end of block B."""
    return tuple(
        name
        for block, convolutions in enumerate(VGG_BLOCKS[network], 1)
        for name in (*(f"conv{block}_{n}" for n in range(1, convolutions + 1)), f"pool{block}")
    )


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Losses of the GAN phase; the PSNR phase uses only the pixel loss, with weight 1."""

    pixel: str = "l2"
    """Pixel loss of both phases: l1, l2 or charbonnier, on images scaled to [-1, 1]."""
    pixel_colors: str = "rgb"
    """Colours of the pixel loss: rgb, or y for BT.601 luma only (SRCNN)."""
    pixel_weight: float = 0.0
    """Weight of the pixel loss in the GAN phase."""
    content_weight: float = 1.0
    """Weight of the loss between VGG features of generated and real images."""
    content_network: str = "vgg19"
    """Network whose features are compared: vgg16 or vgg19."""
    content_layer: str = "conv5_4"
    """Convolution or pool whose features are compared: convB_N of VGG's block B, or poolB."""
    content_activation: bool = True
    """Compare after the ReLU (SRGAN) or before it (ESRGAN)."""
    content_normalise: bool = True
    """Normalise VGG's input as its weights require; leftthomas' public SRGAN does not."""
    content_scale: float = 1 / 12.75
    """Factor on the features: 1/12.75 in SRGAN (Ledig et al., 2017, sec. 3.2), 1 in ESRGAN."""
    content_criterion: str = "l2"
    """Distance of the features: l2 (SRGAN) or l1 (ESRGAN)."""
    content_weights: str = "imagenet"
    """imagenet (downloaded once), a path to a torchvision state file, or random (tables then say random)."""
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
    """Weight of WGAN-GP's penalty: 10 in its paper, required by wgan_gp and refused by the others."""
    tv_weight: float = 0.0
    """Weight of total variation; larger is smoother."""

    def __post_init__(self) -> None:
        known(
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
        known("loss", self, ("content layer", "content_layer", content_layers(self.content_network)))
        if self.content_layer.startswith("pool"):
            must_be("loss", self, "content_activation", True, "a pool comes after its ReLU")
        below_one("loss", self, "label_smoothing")
        if self.label_smoothing and self.adversarial not in SMOOTHABLE:
            must_be("loss", self, "label_smoothing", 0.0, f"{self.adversarial} has no labels")
        if (self.adversarial == "wgan_gp") != (self.gradient_penalty_weight > 0):
            raise UserError(
                "loss.gradient_penalty_weight and loss.adversarial wgan_gp need each other (10 as published),"
                f" but got {self.adversarial} and {self.gradient_penalty_weight}"
            )
