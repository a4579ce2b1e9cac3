"""The layers that several networks share: norms and activations by name, the last convolution."""

import torch
from torch import Tensor, nn

from datasets.errors import unknown

SLOPE = 0.2  # of every LeakyReLU (Ledig et al., 2017, sec. 2.1.1; Wang et al., 2018)


class LastConv(nn.Conv2d):
    """A convolution that computes in float32 even under autocast: its output is the image itself."""

    def forward(self, input: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def norm_layers(name: str, channels: int) -> list[nn.Module]:
    """The norm that `name` means, as the zero or one modules that follow a convolution.

    layer is one mean and variance per image (Ba et al., 2016), which suits WGAN-GP and batches of one;
    none and spectral put nothing behind the convolution.

    Raises:
        UserError: for an unknown name.
    """
    if name not in NORM_LAYERS:
        raise unknown("norm", name, NORM_LAYERS)
    return NORM_LAYERS[name](channels)


NORM_LAYERS = {
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "layer": lambda channels: [nn.GroupNorm(1, channels)],
    "none": lambda channels: [],
    "spectral": lambda channels: [],
}


def activation_layer(name: str) -> nn.Module:
    """LeakyReLU with slope 0.2, or PReLU with one learnt slope.

    Raises:
        UserError: for an unknown name.
    """
    if name not in ACTIVATION_LAYERS:
        raise unknown("activation", name, ACTIVATION_LAYERS)
    return ACTIVATION_LAYERS[name]()


ACTIVATION_LAYERS = {
    "leaky_relu": lambda: nn.LeakyReLU(SLOPE, inplace=True),
    "prelu": nn.PReLU,
}


def scale_parameters(module: nn.Module, factor: float) -> None:
    """Multiplies every weight and bias of `module`, once, at its start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(factor)


def nearest_index(size: int, multiple: int, device: torch.device) -> Tensor:
    """Indices 0..size-1, the last one repeated until their number is a multiple of `multiple`."""
    return torch.arange((size + multiple - 1) // multiple * multiple, device=device).clamp(max=size - 1)
