"""SRResNet, the generator of SRGAN (Ledig et al., 2017, fig. 4), and its public variant by leftthomas.

No activation bounds the output of SRResNet; losses receive it unclamped.
"""

import torch
from torch import Tensor, nn

from trainers.config import GeneratorConfig
from trainers.models.layers import LastConv, norm_layers
from trainers.models.upsample import bicubic_skip, upsampling


class SRResNet(nn.Module):
    """Conv 9x9 and PReLU, residual blocks, conv and norm under a long skip, upsampling, conv 9x9.

    (N, C, h, w) in [0, 1] -> (N, C, scale*h, scale*w), nominally [0, 1]. A convolution before a batch norm
    has no bias, because the norm would subtract it: 1,547,350 parameters at the paper's 16 blocks. With
    `biased` it has one, as some published weights do.
    """

    def __init__(self, config: GeneratorConfig, *, biased: bool = False) -> None:
        super().__init__()
        self.image_channels = config.image_channels
        c, bias = config.channels, biased or config.norm != "batch"
        self.head = nn.Sequential(nn.Conv2d(config.image_channels, c, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(c, config.norm, bias) for _ in range(config.num_blocks)))
        self.fuse = nn.Sequential(*_conv_norm(c, config.norm, bias))
        self.upsampling = upsampling(config.upsampler, config.scale, c, nn.PReLU, icnr=config.icnr)
        self.tail = LastConv(c, config.image_channels, 9, padding=4)
        self.skip = bicubic_skip(config, self.tail)

    def forward(self, lr_image: Tensor) -> Tensor:
        first = self.head(lr_image)
        features = self.fuse(self.blocks(first)) + first
        sr = self.tail(self.upsampling(features))
        return sr if self.skip is None else sr + self.skip(lr_image)


class LeftThomas(SRResNet):
    """The generator of github.com/leftthomas/SRGAN: SRResNet with all biases and a final (tanh + 1) / 2.

    That repository uses 5 blocks (734,219 parameters); the output is in [0, 1].
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__(config, biased=True)

    def forward(self, lr_image: Tensor) -> Tensor:
        return (torch.tanh(super().forward(lr_image)) + 1) / 2


class ResidualBlock(nn.Module):
    """Conv, norm, PReLU, conv, norm, plus the input: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, norm: str, bias: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(channels, norm, bias), nn.PReLU(), *_conv_norm(channels, norm, bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _conv_norm(channels: int, norm: str, bias: bool) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, padding=1, bias=bias), *norm_layers(norm, channels)]
