"""Public architectures from spandrel as generators that can be trained.

spandrel's classes are made for inference. Here they get what training needs: parameters that the output
depends on (SPAN), an input that is never changed in place (RCAN), masks computed on the device for any size
(SwinIR, DAT), batch norm that several ranks share (DAT), a last convolution in float32 under autocast, and
inputs of any size. Weights keep spandrel's names below `net.`, so that other tools read an exported file.
Stochastic depth is off: SwinIR and DAT were published with a rate of 0.1, which a resumed run cannot repeat.
"""

import warnings
from importlib import import_module

import torch
from spandrel.architectures.DAT import DAT
from spandrel.architectures.DAT.__arch.DAT import Adaptive_Spatial_Attention
from spandrel.architectures.OmniSR.__arch.layernorm import LayerNorm2d
from spandrel.architectures.RCAN import RCAN
from spandrel.architectures.RCAN.__arch.rcan_arch import MeanShift
from spandrel.architectures.SPAN import SPAN
from spandrel.architectures.SPAN.__arch.span import Conv3XC
from spandrel.architectures.SwinIR import SwinIR
from spandrel.architectures.SwinIR.__arch.SwinIR import SwinTransformerBlock
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.config.generators import GENERATORS, size_arguments
from trainers.models.batch_norm import BatchNorm
from trainers.models.layers import LastConv

warnings.filterwarnings("ignore", r"torch\.meshgrid", UserWarning)  # of spandrel's classes, by torch

MASKED = -100.0  # added to the attention of pixels that are neighbours only because of the cyclic shift


def spandrel_class(kind: str) -> type[nn.Module]:
    """Return spandrel's class of the public architecture `kind`."""
    package, _, name = GENERATORS[kind].network.rpartition(".")
    return getattr(import_module(f"spandrel.architectures.{package}"), name)


class PublicNetwork(nn.Module):
    """A public architecture of trainers/config/generators.py: (N, 3, h, w) -> (N, 3, scale*h, scale*w).

    Raises:
        UserError: generator.size has arguments that spandrel's class does not take.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        row, network = GENERATORS[config.kind], spandrel_class(config.kind)
        arguments = size_arguments(config.kind, config.size) | {row.scale_argument: config.scale}
        try:
            self.net = network(**arguments)
        except (TypeError, ValueError, AssertionError) as error:
            raise UserError(f"generator.size does not fit {config.kind}: {error}") from None
        self.scale, self.smallest = config.scale, row.smallest
        self.overlap, self.fold = row.overlap, row.window  # for tiles (trainers/inference/tiling.py)
        for module in list(self.net.modules()):
            if adapted := ADAPTED.get(type(module)):
                module.__class__ = adapted
                if isinstance(module, _Adapted):
                    module.adapt()
        self.tail.__class__ = LastConv

    @property
    def tail(self) -> nn.Conv2d:
        """The last convolution, whose output is the image."""
        return [m for m in self.net.modules() if isinstance(m, nn.Conv2d)][-1]

    def forward(self, lr_image: Tensor) -> Tensor:
        height, width = lr_image.shape[2:]
        if min(height, width) >= self.smallest:
            return self.net(lr_image)
        x = lr_image
        for dim, side in ((2, height), (3, width)):
            index = torch.arange(max(side, self.smallest), device=x.device).clamp(max=side - 1)
            x = x.index_select(dim, index)
        return self.net(x)[:, :, : self.scale * height, : self.scale * width]


class _Adapted:
    """A class of spandrel with what training needs; `adapt` changes a new instance once."""

    def adapt(self) -> None:
        raise NotImplementedError


def _freeze(module: nn.Module) -> None:
    """Turn the parameters of `module` into buffers of the same names."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        delattr(module, name)
        module.register_buffer(name, parameter.detach())


class _FixedMean(_Adapted):
    """A network whose mean colour is a buffer; spandrel assigns it to itself at every call."""

    def adapt(self) -> None:
        self.register_buffer("rgb_mean", self.__dict__.pop("mean"), persistent=False)  # type: ignore[attr-defined]

    @property
    def mean(self) -> Tensor:
        return self.rgb_mean  # type: ignore[attr-defined]

    @mean.setter
    def mean(self, value: Tensor) -> None:
        """Ignore the assignment of the same mean."""


class _SPAN(_FixedMean, SPAN):
    pass


class _SwinIR(_FixedMean, SwinIR):
    pass


class _DAT(_FixedMean, DAT):
    pass


class MergedConv(_Adapted, Conv3XC):
    """SPAN's convolution with three branches, always computed as the one 3x3 convolution that they equal.

    The gradients of the branches are those of their separate computation, at a third of its cost. The merged
    kernel is stored as `eval_conv`, which other tools read.
    """

    def adapt(self) -> None:
        _freeze(self.eval_conv)
        self.register_state_dict_pre_hook(_store_merged)

    def merged(self) -> tuple[Tensor, Tensor]:
        """Return the weight (out, in, 3, 3) and the bias (out,) of the equal convolution."""
        first, middle, last = self.conv
        with torch.autocast(middle.weight.device.type, enabled=False):
            w1, w3 = first.weight[:, :, 0, 0], last.weight[:, :, 0, 0]
            weight = torch.einsum("om,mnhw,ni->oihw", w3, middle.weight, w1)
            bias = w3 @ (middle.weight.sum((2, 3)) @ first.bias + middle.bias) + last.bias
            return weight + pad(self.sk.weight, (1, 1, 1, 1)), bias + self.sk.bias

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, *self.merged(), padding=1)

    def deployed(self) -> nn.Conv2d:
        """Return the equal convolution, for inference."""
        weight, bias = self.merged()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        conv.weight, conv.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        return conv


@torch.no_grad()
def _store_merged(module: nn.Module, prefix: str, keep_vars: bool) -> None:
    assert isinstance(module, MergedConv)
    weight, bias = module.merged()
    module.eval_conv.weight.copy_(weight)
    module.eval_conv.bias.copy_(bias)


class _SwinBlock(_Adapted, SwinTransformerBlock):
    """A Swin block whose mask is computed for every size, on the device of its weights."""

    def adapt(self) -> None:
        self.input_resolution = None  # spandrel compares it with the input, to use a mask of that size

    def calculate_mask(self, x_size: tuple[int, int]) -> Tensor:
        side, shift = self.window_size, self.shift_size
        device = self.attn.relative_position_bias_table.device
        if not shift:
            return torch.zeros(1, side * side, side * side, device=device)
        return shifted_window_mask(*x_size, (side, side), (shift, shift), device)


class _SpatialAttention(_Adapted, Adaptive_Spatial_Attention):
    """DAT's attention in rectangular windows, with masks for every size on the device of its weights."""

    def adapt(self) -> None:
        self.patches_resolution = None

    def calculate_mask(self, H: int, W: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        (a, b), (c, d), device = self.split_size, self.shift_size, self.proj.weight.device
        return (
            shifted_window_mask(H, W, (a, b), (c, d), device).to(dtype),
            shifted_window_mask(H, W, (b, a), (d, c), device).to(dtype),
        )


def shifted_window_mask(
    height: int, width: int, window: tuple[int, int], shift: tuple[int, int], device: torch.device
) -> Tensor:
    """Return what is added to the attention of shifted windows (Liu et al., 2021, sec. 3.2), as (n, p, p).

    `n` windows of `p` pixels cover (height, width), which are multiples of the window. Pixels of a window
    that the cyclic shift brought together from opposite borders do not attend to one another.
    """
    (wh, ww), (sh, sw) = window, shift
    region = 3 * _regions(height, wh, sh, device)[:, None] + _regions(width, ww, sw, device)
    of_window = region.view(height // wh, wh, width // ww, ww).permute(0, 2, 1, 3).reshape(-1, wh * ww)
    return (of_window[:, None] != of_window[:, :, None]).float() * MASKED


def _regions(size: int, window: int, shift: int, device: torch.device) -> Tensor:
    place = torch.arange(size, device=device)
    return (place >= size - window).int() + (place >= size - shift).int()


class _LayerNorm(LayerNorm2d):
    """Normalisation over channels by torch's operations, which autocast, compile and export understand."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        normal = centred / (centred.square().mean(1, keepdim=True) + self.eps).sqrt()
        return self.weight[:, None, None] * normal + self.bias[:, None, None]


class _MeanShift(_Adapted, MeanShift):
    """RCAN's shift of the mean colour: constant, and in float32 because its range is 0 to 255."""

    def adapt(self) -> None:
        _freeze(self)

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float() if input.dtype == torch.bfloat16 else input)


class _RCAN(RCAN):
    """RCAN that reads its input without changing it."""

    def check_img_size(self, x: Tensor) -> Tensor:
        return super().check_img_size(x).clone()


ADAPTED: dict[type, type] = {
    SPAN: _SPAN,
    SwinIR: _SwinIR,
    DAT: _DAT,
    RCAN: _RCAN,
    Conv3XC: MergedConv,
    SwinTransformerBlock: _SwinBlock,
    Adaptive_Spatial_Attention: _SpatialAttention,
    LayerNorm2d: _LayerNorm,
    MeanShift: _MeanShift,
    nn.BatchNorm2d: BatchNorm,
}
