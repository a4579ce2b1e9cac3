"""Settings of the losses of the GAN phase."""

import math
from dataclasses import dataclass

from datasets.errors import UserError, unknown
from trainers.config.checks import at_least, below_one, known, must_be
from trainers.plugins import is_own

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
CONTENT_PRESETS = {
    "blocks": (1.0, 1.0, 1.0, 1.0, 1.0),
    "real_esrgan": (0.1, 0.1, 1.0, 1.0, 1.0),  # Wang et al., 2021, sec. 4.1; VGG19 before activation, l1
}
"""Names for several layers: the weights of the last convolution of each of VGG's five blocks."""
PERCEPTUAL_LOSSES = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16", "dists": "vgg16"}
"""Metrics that can be a loss, and the network of each."""


def content_layers(network: str) -> tuple[str, ...]:
    """Return the layer names of VGG16 or VGG19 in order: convB_N, and poolB at the end of block B."""
    return tuple(
        name
        for block, convolutions in enumerate(VGG_BLOCKS[network], 1)
        for name in (*(f"conv{block}_{n}" for n in range(1, convolutions + 1)), f"pool{block}")
    )


def content_taps(network: str, text: str) -> dict[str, float]:
    """Return the layers that loss.content_layer names, with their weights.

    `text` is a layer ("conv5_4"), a sum of layers with weights ("conv2_2*0.1+conv5_4"), or a preset.

    Raises:
        UserError: a layer is unknown or named twice, or a weight is not a number above 0.
    """
    if text in CONTENT_PRESETS:
        blocks = enumerate(zip(VGG_BLOCKS[network], CONTENT_PRESETS[text], strict=True), 1)
        return {f"conv{block}_{last}": weight for block, (last, weight) in blocks}
    taps: dict[str, float] = {}
    for part in text.split("+"):
        layer, star, factor = (word.strip() for word in part.partition("*"))
        if layer not in content_layers(network):
            known_names = (*content_layers(network), *CONTENT_PRESETS)
            raise unknown(f"layer of {network}", layer, known_names, "loss.content_layer")
        try:
            weight = float(factor) if star else 1.0
        except ValueError:
            weight = 0.0
        if not 0 < weight < math.inf or layer in taps:
            raise UserError(
                "loss.content_layer must be a layer, layers with weights above 0 as conv2_2*0.1+conv5_4, or "
                f"one of {', '.join(CONTENT_PRESETS)}, but got {text!r}"
            )
        taps[layer] = weight
    return taps


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
    """Layers whose features are compared: convB_N of VGG's block B, poolB, several with weights as
    conv2_2*0.1+conv5_4, or a preset: blocks (the last convolution of each), real_esrgan (these, weighted)."""
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
    perceptual: str = "dists"
    """Published metric that loss.perceptual_weight makes a loss: lpips_alex, lpips_vgg or dists."""
    perceptual_weight: float = 0.0
    """Weight of that metric as a loss; around 1 it balances a pixel loss of weight 1."""
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
    color_weight: float = 0.0
    """Weight of the colour loss, the mean squared difference of blurred images in [0, 1] (Ignatov et al.,
    2017); larger holds colours, not texture, near the target."""
    grid_weight: float = 0.0
    """Weight of the grid loss, the pattern of the upsampling grid that the target lacks; larger draws less of
    it."""
    extra: str = ""
    """A loss of your own, FILE.py:NAME: a function of generated and real images, (N, 3, H, W) in [0, 1], that
    returns one number, with a gradient to the generated images."""
    extra_weight: float = 0.0
    """Weight of that loss."""

    def __post_init__(self) -> None:
        known(
            "loss",
            self,
            ("pixel loss", "pixel", PIXEL_LOSSES),
            ("pixel colors", "pixel_colors", COLORS),
            ("adversarial loss", "adversarial", ADVERSARIAL_LOSSES),
            ("content network", "content_network", PERCEPTUAL_NETWORKS),
            ("content criterion", "content_criterion", CONTENT_CRITERIA),
            ("perceptual loss", "perceptual", tuple(PERCEPTUAL_LOSSES)),
        )
        at_least("loss", self, 0, "pixel_weight", "content_weight", "adversarial_weight", "tv_weight")
        at_least("loss", self, 0, "r1_weight", "gradient_penalty_weight", "perceptual_weight")
        at_least("loss", self, 0, "color_weight", "grid_weight", "extra_weight")
        if self.extra and not is_own(self.extra) or self.extra_weight and not self.extra:
            raise UserError(
                f"loss.extra_weight needs a loss of your own, loss.extra FILE.py:NAME, but got '{self.extra}'"
            )
        taps = content_taps(self.content_network, self.content_layer)
        if any(layer.startswith("pool") for layer in taps):
            must_be("loss", self, "content_activation", True, "a pool comes after its ReLU")
        below_one("loss", self, "label_smoothing")
        if self.label_smoothing and self.adversarial not in SMOOTHABLE:
            must_be("loss", self, "label_smoothing", 0.0, f"{self.adversarial} has no labels")
        if (self.adversarial == "wgan_gp") != (self.gradient_penalty_weight > 0):
            raise UserError(
                "loss.gradient_penalty_weight and loss.adversarial wgan_gp need each other (10 as published),"
                f" but got {self.adversarial} and {self.gradient_penalty_weight}"
            )

    @property
    def published_networks(self) -> set[str]:
        """The networks with published weights that the enabled losses compare images by."""
        networks = set()
        if self.content_weight and self.content_weights != "random":
            networks.add(self.content_network)
        if self.perceptual_weight:
            networks.add(PERCEPTUAL_LOSSES[self.perceptual])
        return networks
