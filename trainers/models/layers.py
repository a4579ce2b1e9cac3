"""The layers that several networks share: norms and activations by name, the last convolution."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

from datasets.errors import unknown
from trainers.models.batch_norm import BatchNorm

SLOPE = 0.2  # of every LeakyReLU (Ledig et al., 2017, sec. 2.1.1; Wang et al., 2018)


class LastConv(nn.Conv2d):
    """A convolution that computes in float32 even under autocast: its output is the image itself.

    On a CPU it computes 2x2 output pixels at once where it can: the same sums, but the three channels of an
    image become twelve and fill the vector registers.
    """

    def forward(self, input: Tensor) -> Tensor:
        device = input.device.type
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return self._convolved(input)
        with torch.autocast(device, enabled=False):
            return self._convolved(input.float())

    def _convolved(self, x: Tensor) -> Tensor:
        # small kernels would pay too much for the zeros; a traced program must not depend on its example
        if torch.compiler.is_compiling() or x.device.type != "cpu" or self.kernel_size[0] < 5:
            return super().forward(x)
        even = x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
        return self._four_at_once(x) if even else super().forward(x)

    def _four_at_once(self, x: Tensor) -> Tensor:
        """The kernel at its four shifts, as four times the channels of one convolution with stride 2."""
        weight = torch.stack([pad(self.weight, (b, 1 - b, a, 1 - a)) for a in (0, 1) for b in (0, 1)], 1)
        weight = weight.flatten(0, 1).contiguous(memory_format=format_of(self.weight))
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), (0, 0)
        return pixel_shuffle(conv2d(x, weight, bias, 2, padding), 2)


def format_of(weight: Tensor) -> torch.memory_format:
    """channels_last where `weight` lies so, else contiguous."""
    last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


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
    "batch": lambda channels: [BatchNorm(channels)],
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
