"""SRCNN (Dong, Loy, He & Tang, 2014/2016): three convolutions on the bicubic image."""

from collections.abc import Callable

from torch import Tensor, nn

from trainers.config import GeneratorConfig
from trainers.losses import luma
from trainers.models.layers import LastConv, scale_parameters
from trainers.models.upsample import BICUBIC_START, Bicubic

WEIGHT_SPREAD = 1e-3  # standard deviation of the first weights (TPAMI 2016, sec. 3.3)
LUMA_GAIN = 255 / 219  # rise of red, green and blue per unit of BT.601 luma at constant chroma


class SRCNN(nn.Module):
    """Patch extraction, mapping, reconstruction, with ReLU between them.

    (N, C, h, w) in [0, 1] -> (N, C, scale*h, scale*w), nominally [0, 1]. With colors=y the network
    restores BT.601 luma and chroma stays bicubic, as in the paper; then 9-1-5 has 8,129 parameters and
    9-5-5 57,281. Borders repeat the edge pixel, as the authors' test code does, so the size does not
    change (the paper trains on the valid part only). With global_skip=bicubic the network learns the
    difference to bicubic and starts from torch's default initialisation, because the paper's needs very many
    steps to become the identity.
    """

    def __init__(self, config: GeneratorConfig, kernels: tuple[int, int, int]) -> None:
        super().__init__()
        colors, n1 = (1 if config.colors == "y" else config.image_channels), config.channels
        self.image_channels = config.image_channels
        extraction, mapping, reconstruction = kernels
        self.bicubic = Bicubic(config.scale)
        self.head = nn.Sequential(_conv(nn.Conv2d, colors, n1, extraction), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(_conv(nn.Conv2d, n1, n1 // 2, mapping), nn.ReLU(inplace=True))
        self.tail = _conv(LastConv, n1 // 2, colors, reconstruction)
        self.luma_only, self.residual = config.colors == "y", config.global_skip == "bicubic"
        if self.residual:
            scale_parameters(self.tail, BICUBIC_START)
        else:
            self.apply(_initialise_as_paper)

    def forward(self, lr_image: Tensor) -> Tensor:
        image = self.bicubic(lr_image)
        start = luma(image) if self.luma_only else image
        out = self.tail(self.blocks(self.head(start)))
        change = out if self.residual else out - start
        return image + (LUMA_GAIN * change if self.luma_only else change)


def srcnn_915(config: GeneratorConfig) -> SRCNN:
    """Return the network of the ECCV paper: kernels 9, 1, 5."""
    return SRCNN(config, (9, 1, 5))


def srcnn_955(config: GeneratorConfig) -> SRCNN:
    """Return the larger network of the journal paper: kernels 9, 5, 5."""
    return SRCNN(config, (9, 5, 5))


def _conv(kind: Callable[..., nn.Conv2d], channels: int, width: int, kernel: int) -> nn.Conv2d:
    return kind(channels, width, kernel, padding=kernel // 2, padding_mode="replicate")


def _initialise_as_paper(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        assert module.bias is not None
        nn.init.normal_(module.weight, std=WEIGHT_SPREAD)
        nn.init.zeros_(module.bias)
