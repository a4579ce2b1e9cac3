"""Upsampling layers of generators, and the bicubic upsampling that a generator may add its output to.

One stage multiplies height and width by its factor and keeps the number of channels; `upsampling` chains the
stages of a complete magnification.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainers.config import GeneratorConfig
from trainers.models.layers import in_float32, scale_parameters

BICUBIC_START = 0.1  # factor on a last convolution, so that training starts at the bicubic image
STAGES: dict[int, tuple[int, ...]] = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2), 16: (2, 2, 2, 2)}


def upsampling(
    name: str, scale: int, channels: int, activation: Callable[[], nn.Module], *, icnr: bool = False
) -> nn.Sequential:
    """Return layers (N, C, H, W) -> (N, C, scale*H, scale*W): doublings (a tripling for 3) with activations.

    The layout is that of SRResNet (Ledig et al., 2017, fig. 4); scale 1 has no stage.
    """
    stages = UPSAMPLERS[name](channels, STAGES[scale], icnr)
    return nn.Sequential(*(nn.Sequential(stage, activation()) for stage in stages))


def pixel_shuffle(channels: int, factor: int, icnr: bool = False) -> nn.Module:
    """Return a sub-pixel convolution (Shi et al., 2016): 3x3 to factor^2 times the channels, then a shuffle.

    With `icnr` the factor^2 kernels of one output channel start equal, so that the stage starts as
    nearest-neighbour upsampling (Aitken et al., 2017, sec. 3).
    """
    conv = nn.Conv2d(channels, channels * factor**2, 3, padding=1)
    if icnr:
        assert conv.bias is not None
        with torch.no_grad():
            for values in (conv.weight, conv.bias):
                values.copy_(values[:: factor**2].repeat_interleave(factor**2, dim=0))
    return nn.Sequential(conv, PixelShuffle(factor))


class PixelShuffle(nn.PixelShuffle):
    """A pixel shuffle that keeps the memory format channels_last on a GPU, where torch's does not.

    The next convolution would otherwise copy the largest feature maps of the network, forward and backward.
    """

    def forward(self, input: Tensor) -> Tensor:
        last = input.device.type == "cuda" and input.is_contiguous(memory_format=torch.channels_last)
        if not last or torch.compiler.is_compiling():
            return super().forward(input)
        return shuffle_channels_last(input, self.upscale_factor)


def shuffle_channels_last(x: Tensor, factor: int) -> Tensor:
    """Return the pixel shuffle (N, C/factor^2, factor*H, factor*W) of channels_last `x`, in channels_last."""
    n, channels, height, width = x.shape
    split = x.permute(0, 2, 3, 1).view(n, height, width, channels // factor**2, factor, factor)
    shuffled = split.permute(0, 1, 4, 2, 5, 3).reshape(n, height * factor, width * factor, -1)
    return shuffled.permute(0, 3, 1, 2)


def transposed_conv(channels: int, factor: int) -> nn.Module:
    """Return a transposed convolution whose kernel is a multiple of its stride (4 for 2, 9 for 3).

    Every output pixel then sums equally many taps (Odena et al., 2016). The kernels start as bilinear
    interpolation times a random channel mixing, so the first outputs show no grid either.
    """
    kernel = factor * (2 + factor % 2)  # odd factors need three taps for the padding to be whole
    conv = nn.ConvTranspose2d(channels, channels, kernel, factor, padding=(kernel - factor) // 2)
    _bilinear_start(conv, factor)
    return conv


def _bilinear_start(conv: nn.ConvTranspose2d, factor: int) -> None:
    kernel = conv.kernel_size[0]
    distance = (torch.arange(kernel) - (kernel - 1) / 2).abs()
    tent = (1 - distance / factor).clamp(min=0)
    mixing = torch.empty(conv.in_channels, conv.out_channels)
    nn.init.kaiming_uniform_(mixing, a=5**0.5, mode="fan_in")
    with torch.no_grad():
        conv.weight.copy_(mixing[:, :, None, None] * torch.outer(tent, tent))


def transposed_conv_3(channels: int, factor: int) -> nn.Module:
    """Return a transposed convolution of kernel 3 with torch's default initialisation, as often published.

    At factor 2 its outputs sum 1, 2 or 4 taps in turn: the checkerboard that Odena et al. (2016) describe.
    """
    padding = int(factor % 2 == 0)
    return nn.ConvTranspose2d(channels, channels, 3, factor, padding=padding, output_padding=padding)


def transposed_conv_2(channels: int, factor: int) -> nn.Module:
    """Return a transposed convolution whose kernel equals its stride: no overlap, as in KAIR's networks."""
    return nn.ConvTranspose2d(channels, channels, factor, factor)


def nearest_conv(channels: int, factor: int) -> nn.Module:
    """Return nearest-neighbour upsampling and a 3x3 convolution (Odena et al., 2016; ESRGAN's code)."""
    return nn.Sequential(_nearest(factor), nn.Conv2d(channels, channels, 3, padding=1))


def _nearest(factor: int) -> nn.Module:
    return nn.Upsample(scale_factor=factor, mode="nearest")


def _interp_transposed(channels: int, factors: tuple[int, ...], icnr: bool) -> list[nn.Module]:
    """Return interpolation, and one transposed convolution as the last doubling (the upsampling lab report).

    The report does not state interpolation and kernel: here nearest neighbour, and twice the stride.
    """
    return [*map(_nearest, factors[:-1]), transposed_conv(channels, factors[-1])]


UPSAMPLERS: dict[str, Callable[[int, tuple[int, ...], bool], list[nn.Module]]] = {
    "pixel_shuffle": lambda channels, factors, icnr: [pixel_shuffle(channels, f, icnr) for f in factors],
    "transposed_conv": lambda channels, factors, icnr: [transposed_conv(channels, f) for f in factors],
    "transposed_conv_2": lambda channels, factors, icnr: [transposed_conv_2(channels, f) for f in factors],
    "transposed_conv_3": lambda channels, factors, icnr: [transposed_conv_3(channels, f) for f in factors],
    "nearest_conv": lambda channels, factors, icnr: [nearest_conv(channels, f) for f in factors],
    "interp_transposed": _interp_transposed,
    "bicubic_input": lambda channels, factors, icnr: [],  # the network reads the upsampled image
}


def bicubic_skip(config: GeneratorConfig, tail: nn.Module) -> nn.Module | None:
    """Return the bicubic upsampling that a generator adds its output to; None if global_skip is none.

    The last convolution `tail` then begins with small weights.
    """
    if config.global_skip == "none":
        return None
    scale_parameters(tail, BICUBIC_START)
    return Bicubic(config.scale)


class Bicubic(nn.Module):
    """Bicubic upsampling (Keys, 1981, a = -0.5; MATLAB's positions and mirrored borders), unrounded.

    One fixed convolution per output phase and a pixel shuffle: any H and W >= 1, differentiable, and
    exportable with every dimension dynamic. (N, C, H, W) -> (N, C, scale*H, scale*W) in the input's range,
    but for the overshoot of the cubic at edges. Under autocast it computes in float32, because its output is
    part of the image.
    """

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("kernel", _phase_kernels(scale), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.scale == 1:
            return x
        return in_float32(self._upsampled, x)

    def _upsampled(self, x: Tensor) -> Tensor:
        x = _mirror(_mirror(x, 2), 3)
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).repeat(channels, 1, 1, 1)
        return nn.functional.pixel_shuffle(nn.functional.conv2d(x, kernel, groups=channels), self.scale)


def _phase_kernels(scale: int) -> Tensor:
    """Return kernels (scale^2, 1, 5, 5): the 5x5 taps for each output pixel inside an input pixel."""
    centre = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = _cubic(centre[:, None] - torch.arange(-2, 3))
    kernels = torch.einsum("pi,qj->pqij", taps, taps)
    return kernels.reshape(scale**2, 1, 5, 5).float()


def _cubic(distance: Tensor) -> Tensor:
    d = distance.abs()
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _mirror(x: Tensor, dim: int) -> Tensor:
    """Pad two pixels on each side of `dim` by mirroring, edge pixel included; any side >= 1."""
    forth = torch.arange(x.shape[dim], device=x.device)
    back = forth.flip(0)  # no arithmetic with the size, which ONNX could not express
    index = torch.cat([torch.cat([forth, back])[-2:], forth, torch.cat([back, forth])[:2]])
    return x.index_select(dim, index)
