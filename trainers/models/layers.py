"""Layers that several networks share: norms and activations by name, and the last convolution."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

from trainers.models.batch_norm import BatchNorm

AUTOCAST = {d for d in ("cpu", "cuda", "mps") if torch.amp.is_autocast_available(d)}
"""Devices that know autocast; asked here, because torch.compile cannot trace the question."""

SLOPE = 0.2  # of every LeakyReLU (Ledig et al., 2017, sec. 2.1.1; Wang et al., 2018)


class LastConv(nn.Conv2d):
    """A convolution that computes in float32 even under autocast, because its output is the image.

    On a CPU, if both sides are even, it computes 2x2 output pixels at once: the sums are equal, but the three
    channels of an image become twelve, which fill the vector registers. On a GPU, gradients of an input in
    bf16 are computed in bf16, as those of every other layer: three output channels leave its tensor cores
    nearly empty, and in TF32 the gradient of the weight alone takes twice as long as the convolution.
    """

    def forward(self, input: Tensor) -> Tensor:
        half = input.dtype == torch.bfloat16 and input.device.type == "cuda" and torch.is_grad_enabled()
        if half and self.padding_mode == "zeros":
            with torch.autocast("cuda", enabled=False):
                return _Bf16Gradients.apply(input, self.weight, self.bias, self.padding)
        return in_float32(self._convolved, input)

    def _convolved(self, x: Tensor) -> Tensor:
        # small kernels would waste time on the zeros; a traced program must not depend on its example's size
        if torch.compiler.is_compiling() or x.device.type != "cpu" or self.kernel_size[0] < 5:
            return super().forward(x)
        even = x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
        return self._four_at_once(x) if even else super().forward(x)

    def _four_at_once(self, x: Tensor) -> Tensor:
        """Convolve with the kernel at four shifts: one stride-2 convolution with four times the channels."""
        weight = torch.stack([pad(self.weight, (b, 1 - b, a, 1 - a)) for a in (0, 1) for b in (0, 1)], 1)
        weight = weight.flatten(0, 1).contiguous(memory_format=format_of(self.weight))
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), (0, 0)
        return pixel_shuffle(conv2d(x, weight, bias, 2, padding), 2)


class _Bf16Gradients(torch.autograd.Function):
    """A convolution of stride 1 in float32 whose gradients are computed in bf16 and summed in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, int]) -> Tensor:
        """Convolve `x` (N, C, H, W) in bf16 with float32 weights."""
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return conv2d(x.float(), weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, in bf16, and of weight and bias, in float32."""
        x, weight = ctx.saved_tensors
        layout = format_of(weight)
        given = gradient.to(torch.bfloat16, memory_format=layout), x, weight.to(torch.bfloat16)
        # stride 1, dilation 1, not transposed, no output padding, one group; the bias is summed in float32
        plain = None, (1, 1), ctx.padding, (1, 1), False, (0, 0), 1
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(*given, *plain, (True, True, False))
        return of_x, of_weight.float(), gradient.sum((0, 2, 3)), None


def in_float32(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return function(x), computed in float32 if autocast is on for the device of `x`."""
    device = x.device.type
    if device not in AUTOCAST or not torch.is_autocast_enabled(device):
        return function(x)
    with torch.autocast(device, enabled=False):
        return function(x.float())


def format_of(weight: Tensor) -> torch.memory_format:
    """Return channels_last if `weight` is stored so, else contiguous."""
    last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def norm_layers(name: str, channels: int) -> list[nn.Module]:
    """Return the zero or one norm modules of `name` that follow a convolution.

    layer is one mean and variance per image (Ba et al., 2016), which suits WGAN-GP and batches of one;
    none and spectral add no module.
    """
    return NORM_LAYERS[name](channels)


NORM_LAYERS = {
    "batch": lambda channels: [BatchNorm(channels)],
    "layer": lambda channels: [nn.GroupNorm(1, channels)],
    "none": lambda channels: [],
    "spectral": lambda channels: [],
}


def activation_layer(name: str) -> nn.Module:
    """Return LeakyReLU with slope 0.2, or PReLU with one learnt slope."""
    return ACTIVATION_LAYERS[name]()


ACTIVATION_LAYERS = {
    "leaky_relu": lambda: nn.LeakyReLU(SLOPE, inplace=True),
    "prelu": nn.PReLU,
}


def scale_parameters(module: nn.Module, factor: float) -> None:
    """Multiply every weight and bias of `module` by `factor`; used once, after initialisation."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(factor)


def nearest_index(size: int, multiple: int, device: torch.device) -> Tensor:
    """Return the indices 0..size-1 with the last repeated until their number is a multiple of `multiple`."""
    return torch.arange((size + multiple - 1) // multiple * multiple, device=device).clamp(max=size - 1)
