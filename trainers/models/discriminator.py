"""Discriminators in the style of VGG with one logit per image; a larger logit means "real"."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from datasets.errors import UserError
from trainers.config import DiscriminatorConfig
from trainers.models.layers import activation_layer, norm_layers


class SizeFree(nn.Module):
    """The discriminator of SRGAN with a spatial mean in place of its flattening, for any image size.

    3x3 convolutions, every second one with stride 2, channels doubling after each halving up to eight
    times the first (Ledig et al., 2017, fig. 4), then mean, dense, activation, dense.
    (N, 3, H, W) in [0, 1] -> (N, 1) logits.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.features, channels = convolutions(config, stride_kernel=3)
        self.head = dense_head(config, channels, 2 * channels)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).mean((2, 3)))


class PaperDiscriminator(nn.Module):
    """The discriminator of SRGAN as published (Ledig et al., 2017, fig. 4): flattened features, dense 1024.

    (N, 3, S, S) in [0, 1] -> (N, 1) logits, with S = discriminator.image_px; at 96 px it has 23.56
    million parameters, four fifths of them in the first dense layer.

    Raises:
        UserError: an image has another size.
    """

    kernel, dense = 3, 1024

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.features, channels = convolutions(config, stride_kernel=self.kernel)
        side = _side_after(self.features, config.image_px)
        self.head = dense_head(config, channels * side**2, self.dense)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[2] != self.config.image_px or image.shape[3] != self.config.image_px:
            raise UserError(
                f"the {self.config.kind} discriminator was built for images of {self.config.image_px} px, "
                f"but got {image.shape[2]} x {image.shape[3]}; set discriminator.image_px, or "
                "discriminator.kind size_free"
            )
        return self.head(self.features(image).flatten(1))


class ESRGANDiscriminator(PaperDiscriminator):
    """The discriminator of ESRGAN's code: kernel 4 in convolutions with stride 2, 4x4 features, dense 100.

    (N, 3, S, S) in [0, 1] -> (N, 1) logits; 14.50 million parameters at 128 px and ten convolutions. It
    has no sigmoid: the relativistic loss is defined on logits (Wang et al., 2018, sec. 3.2).
    """

    kernel, dense = 4, 100


def convolutions(config: DiscriminatorConfig, *, stride_kernel: int) -> tuple[nn.Sequential, int]:
    """Return the convolutional part and its number of output channels.

    Kernels are 3x3, `stride_kernel` in the convolutions with stride 2.
    """
    layers: list[nn.Module] = []
    channels = config.image_channels
    for index in range(config.num_layers):
        width = config.base_channels * min(2 ** (index // 2), 8)
        halve = index % 2 == 1
        layers += conv_layer(
            config,
            channels,
            width,
            kernel=stride_kernel if halve else 3,
            stride=2 if halve else 1,
            first=index == 0,
        )
        channels = width
    return nn.Sequential(*layers), channels


def conv_layer(
    config: DiscriminatorConfig, channels: int, width: int, *, kernel: int, stride: int, first: bool
) -> list[nn.Module]:
    """Return convolution, norm (none after the first) and activation; no bias if a batch norm removes it."""
    norm = "none" if first and config.norm != "spectral" else config.norm
    conv = nn.Conv2d(channels, width, kernel, stride, padding=1, bias=norm != "batch")
    activation = activation_layer(config.activation)
    return [_spectral(config, conv), *norm_layers(norm, width), activation]


def dense_head(config: DiscriminatorConfig, inputs: int, hidden: int) -> nn.Sequential:
    """Return the head (N, inputs) -> (N, 1) logits, with one hidden layer."""
    return nn.Sequential(
        _spectral(config, nn.Linear(inputs, hidden)),
        activation_layer(config.activation),
        _spectral(config, nn.Linear(hidden, 1)),
    )


def _spectral(config: DiscriminatorConfig, layer: nn.Module) -> nn.Module:
    """Apply spectral normalisation (Miyato et al., 2018) if discriminator.norm is spectral."""
    return spectral_norm(layer) if config.norm == "spectral" else layer


def _side_after(features: nn.Sequential, side: int) -> int:
    for module in features:
        if isinstance(module, nn.Conv2d):
            side = (side + 2 * module.padding[0] - module.kernel_size[0]) // module.stride[0] + 1
    return side
