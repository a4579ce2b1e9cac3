"""Networks that tell generated from real images; all return logits, larger meaning "real"."""

from torch import Tensor, nn

from trainers.config import DiscriminatorConfig

SLOPE = 0.2  # of every LeakyReLU (Ledig et al., 2017, sec. 2.1.1)


class SizeFree(nn.Module):
    """The discriminator of SRGAN with its flattening replaced by a spatial mean: any image size.

    3x3 convolutions, every second one with stride 2, channels doubling after each halving up to eight
    times the first (Ledig et al., 2017, fig. 4), then mean, dense, LeakyReLU, dense.
    (N, 3, H, W) in [0, 1] -> (N, 1) logits.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for index in range(config.num_layers):
            width = config.base_channels * min(2 ** (index // 2), 8)
            norm = "none" if index == 0 else config.norm
            layers += conv_layer(channels, width, 1 + index % 2, norm)
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.LeakyReLU(SLOPE, inplace=True), nn.Linear(2 * channels, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).mean((2, 3)))


def conv_layer(channels: int, width: int, stride: int, norm: str) -> list[nn.Module]:
    """3x3 convolution, norm unless none, LeakyReLU; `stride` divides height and width, rounding up."""
    conv = nn.Conv2d(channels, width, 3, stride, padding=1, bias=norm == "none")
    activation = nn.LeakyReLU(SLOPE, inplace=True)
    return [conv, activation] if norm == "none" else [conv, nn.BatchNorm2d(width), activation]
