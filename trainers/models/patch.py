"""Discriminators with a map of logits (N, 1, h, w), one per patch or pixel; a larger logit means "real"."""

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.parametrizations import spectral_norm

from trainers.config import DiscriminatorConfig
from trainers.models.discriminator import conv_layer
from trainers.models.layers import activation_layer


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al., 2017, sec. 3.2 and 6.1.2): 4x4 convolutions, the last two without stride.

    With five convolutions, as published, each logit depends on a patch of 70x70 pixels; patches overlap.
    (N, 3, H, W) in [0, 1] -> (N, 1, about H/2^(num_layers-2), ...) logits.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = config.image_channels
        for index in range(config.num_layers - 1):
            width = config.base_channels * min(2**index, 8)
            stride = 1 if index == config.num_layers - 2 else 2
            layers += conv_layer(config, channels, width, kernel=4, stride=stride, first=index == 0)
            channels = width
        last = nn.Conv2d(channels, 1, 4, padding=1)
        self.features = nn.Sequential(*layers)
        self.head = spectral_norm(last) if config.norm == "spectral" else last

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image))


class UNetDiscriminator(nn.Module):
    """U-Net with spectral norm (Wang et al., 2021, Real-ESRGAN, sec. 3.2): one logit per pixel.

    (N, C, H, W) in [0, 1] with C = image_channels -> (N, 1, H, W) logits. Features are resized to the size of
    the skip they are added to, so any H and W >= 8 are accepted.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        c = config.base_channels
        first = nn.Conv2d(config.image_channels, c, 3, padding=1)
        self.first = nn.Sequential(first, activation_layer(config.activation))
        self.down = nn.ModuleList(_layer(config, c * 2**i, c * 2 ** (i + 1), 4, 2) for i in range(3))
        self.up = nn.ModuleList(_layer(config, c * 2 ** (i + 1), c * 2**i, 3, 1) for i in (2, 1, 0))
        self.last = nn.Sequential(*(_layer(config, c, c, 3, 1) for _ in range(2)))
        self.head = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        skips = [self.first(image)]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.up:
            skip = skips.pop()
            x = up(interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)) + skip
        return self.head(self.last(x))


def _layer(config: DiscriminatorConfig, channels: int, width: int, kernel: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(channels, width, kernel, stride, padding=1, bias=False)
    return nn.Sequential(spectral_norm(conv), activation_layer(config.activation))
