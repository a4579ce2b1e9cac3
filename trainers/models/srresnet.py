"""SRResNet, the generator of SRGAN (Ledig et al., 2017, fig. 4), with its design choices as settings.

No activation bounds the output; losses and metrics see it as it is.
"""

import torch
from torch import Tensor, nn

from trainers.config import GeneratorConfig
from trainers.models.upsample import Bicubic, upsampling

BICUBIC_START = 0.1  # factor on the last convolution, so that training starts at the bicubic image


class SRResNet(nn.Module):
    """Conv 9x9 and PReLU, residual blocks, conv and norm under a long skip, upsampling, conv 9x9.

    (N, 3, h, w) in [0, 1] -> (N, 3, scale*h, scale*w), nominally [0, 1]. A convolution before a batch norm
    has no bias, since the norm would subtract it: 1,547,350 parameters at the paper's 16 blocks.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        c = config.channels
        self.head = nn.Sequential(nn.Conv2d(3, c, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(c, config.norm) for _ in range(config.num_blocks)))
        self.fuse = nn.Sequential(*conv_norm(c, config.norm))
        self.upsampling = upsampling(config.upsampler, config.scale, c, icnr=config.icnr)
        self.tail = nn.Conv2d(c, 3, 9, padding=4)
        self.skip = Bicubic(config.scale) if config.global_skip == "bicubic" else None
        if self.skip is not None:
            _scale(self.tail, BICUBIC_START)

    def forward(self, lr_image: Tensor) -> Tensor:
        first = self.head(lr_image)
        features = self.fuse(self.blocks(first)) + first
        sr = self.tail(self.upsampling(features))
        return sr if self.skip is None else sr + self.skip(lr_image)


class ResidualBlock(nn.Module):
    """Conv, norm, PReLU, conv, norm, plus the input; (N, C, H, W) stays (N, C, H, W)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_norm(channels, norm), nn.PReLU(), *conv_norm(channels, norm))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def conv_norm(channels: int, norm: str) -> list[nn.Module]:
    """A 3x3 convolution and, unless `norm` is none, its batch norm."""
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=norm == "none")
    return [conv] if norm == "none" else [conv, nn.BatchNorm2d(channels)]


def _scale(conv: nn.Conv2d, factor: float) -> None:
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.mul_(factor)
