"""RRDBNet, the generator of ESRGAN (Wang et al., 2018, sec. 3.1): dense blocks, residuals inside residuals.

Without batch norm. 23 blocks have 16,697,987 parameters, 16 have 11.66 million.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from trainers.config import GeneratorConfig
from trainers.models.layers import LastConv, activation_layer, nearest_index, scale_parameters
from trainers.models.upsample import bicubic_skip, upsampling

RESIDUAL_SCALE = 0.2  # beta of ESRGAN, sec. 3.1, inside and outside of the dense blocks
INITIAL_SCALE = 0.1  # "smaller initialization", ESRGAN, supplementary sec. 4
_activation = partial(activation_layer, "leaky_relu")


class RRDBNet(nn.Module):
    """Conv, RRDBs and conv under a long skip, upsampling, conv and LeakyReLU, conv; all of them 3x3.

    (N, C, h, w) in [0, 1] -> (N, C, scale*h, scale*w), nominally [0, 1]. With `unshuffle_input` the input is
    folded to a quarter of the output's side and the network magnifies by 4, as the public weights
    for scale 1 and 2 were trained; sides that are not divisible are padded with their last pixel. `fold` x
    `fold` input pixels are channels of one pixel for the head.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.image_channels = config.image_channels
        c, self.scale = config.channels, config.scale
        self.fold = 4 // config.scale if config.unshuffle_input else 1
        self.head = nn.Conv2d(config.image_channels * self.fold**2, c, 3, padding=1)
        self.blocks = nn.Sequential(*(RRDB(c, config.growth) for _ in range(config.num_blocks)))
        self.fuse = nn.Conv2d(c, c, 3, padding=1)
        self.upsampling = upsampling(
            config.upsampler, config.scale * self.fold, c, _activation, icnr=config.icnr
        )
        self.hr = nn.Sequential(nn.Conv2d(c, c, 3, padding=1), _activation())
        self.tail = LastConv(c, config.image_channels, 3, padding=1)
        self.skip = bicubic_skip(config, self.tail)

    def forward(self, lr_image: Tensor) -> Tensor:
        first = self.head(self._folded(lr_image))
        features = first + self.fuse(self.blocks(first))
        sr = self.tail(self.hr(self.upsampling(features)))
        if self.fold > 1:
            sr = self._cropped(sr, lr_image)
        return sr if self.skip is None else sr + self.skip(lr_image)

    def _folded(self, x: Tensor) -> Tensor:
        if self.fold == 1:
            return x
        for dim in (2, 3):
            x = x.index_select(dim, nearest_index(x.shape[dim], self.fold, x.device))
        return pixel_unshuffle(x, self.fold)

    def _cropped(self, sr: Tensor, lr_image: Tensor) -> Tensor:
        # index_select: with a slice, an exported program would require the contiguity of its example input
        for dim in (2, 3):
            sr = sr.index_select(dim, torch.arange(self.scale * lr_image.shape[dim], device=sr.device))
        return sr


class RRDB(nn.Module):
    """Three dense blocks in sequence; their output times 0.2 is added to the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.body(x), alpha=RESIDUAL_SCALE)


class DenseBlock(nn.Module):
    """Five convolutions, each reading the input and all earlier outputs; the last one linear, times 0.2.

    Weights start as a tenth of He's initialisation, biases at 0 (ESRGAN, supplementary sec. 4, and its code).
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + growth * i, width, 3, padding=1) for i, width in enumerate(widths)
        )
        self.activation = _activation()
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
        scale_parameters(self, INITIAL_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for conv in self.convs[:-1]:
            maps.append(self.activation(conv(torch.cat(maps, 1))))
        return torch.add(x, self.convs[-1](torch.cat(maps, 1)), alpha=RESIDUAL_SCALE)
