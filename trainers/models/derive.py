"""The trained network of one architecture as the beginning of another's: its function, or one close to it.

Blocks that the source lacks begin as identities (Net2Net: Chen et al., 2016, sec. 2.3). An inserted batch
norm begins with the scale and shift that undo it, from the moments of the source's own features. The kernels
of another upsampler are the least-squares solution for the same function of each pair of channels. A derived
network then needs a part of the training that one from random weights needs.
"""

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from trainers.config import GeneratorConfig
from trainers.models.srresnet import SRResNet
from trainers.models.upsample import STAGES, UPSAMPLERS

KINDS = ("srresnet", "leftthomas")
MAY_DIFFER = ("num_blocks", "norm", "upsampler", "icnr")
CONVERTED = ("pixel_shuffle", "transposed_conv", "nearest_conv", "transposed_conv_3", "transposed_conv_2")
"""Upsamplers whose stages are one linear layer each, those that make the better source first: each of the
first three can compute what the later ones of these three compute. Others are approximated."""


def is_derivable(source: GeneratorConfig, target: GeneratorConfig) -> bool:
    """Return True if a network of `target` can begin as a trained one of `source`."""
    alike = replace(source, **{name: getattr(target, name) for name in MAY_DIFFER}) == target
    upsamplers = {source.upsampler, target.upsampler}
    return (
        source.kind in KINDS
        and alike
        and source.num_blocks <= target.num_blocks
        and source.norm in ("none", target.norm)
        and (len(upsamplers) == 1 or upsamplers <= set(CONVERTED))
    )


@torch.no_grad()
def derive(
    source: nn.Module, before: GeneratorConfig, target: nn.Module, now: GeneratorConfig, lr_images: Tensor
) -> nn.Module:
    """Give `target`, a new network of settings `now`, the function of the trained `source`; return it.

    `before` are the settings of `source`. `lr_images` (N, C, h, w) in [0, 1] are examples for the moments of
    inserted batch norms. Both networks are on the CPU.
    """
    assert isinstance(source, SRResNet) and isinstance(target, SRResNet)
    target.head.load_state_dict(source.head.state_dict())
    target.tail.load_state_dict(source.tail.state_dict())
    moments = _output_moments(source, lr_images) if now.norm == "batch" else {}
    for i, block in enumerate(target.blocks):
        if i < len(source.blocks):
            _copy(source.blocks[i].body, block.body, moments)
        else:
            for values in list(block.body)[-1].parameters():  # the last layer returns zeros: the identity
                nn.init.zeros_(values)
    _copy(source.fuse, target.fuse, moments)
    stages = zip(STAGES[now.scale], source.upsampling, target.upsampling, strict=True)
    for factor, (layers, activation), (new_layers, new_activation) in stages:
        new_activation.load_state_dict(activation.state_dict())
        if before.upsampler == now.upsampler:
            new_layers.load_state_dict(layers.state_dict())
        else:
            _convert(_weighted(layers), _weighted(new_layers), before.upsampler, now.upsampler, factor)
    return target


def _of_type(layers: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [m for m in layers.children() if isinstance(m, kind)]


def _output_moments(network: SRResNet, lr_images: Tensor) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Return the variance and the mean of each channel of each convolution's output, in eval mode."""
    moments: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def remember(layer: nn.Module, _: object, output: Tensor) -> None:
        moments[layer] = torch.var_mean(output, (0, 2, 3))

    layers = [m for part in (network.blocks, network.fuse) for m in part.modules() if type(m) is nn.Conv2d]
    hooks = [layer.register_forward_hook(remember) for layer in layers]
    network.eval()(lr_images)
    for hook in hooks:
        hook.remove()
    return moments


def _copy(
    source: nn.Sequential, target: nn.Sequential, moments: dict[nn.Module, tuple[Tensor, Tensor]]
) -> None:
    """Copy convolutions, activations and norms; give a norm that `source` lacks the moments it removes."""
    for kind in (nn.Conv2d, nn.PReLU):
        for before, now in zip(_of_type(source, kind), _of_type(target, kind), strict=True):
            now.load_state_dict({k: v for k, v in before.state_dict().items() if k in now.state_dict()})
    own, norms = _of_type(source, nn.BatchNorm2d), _of_type(target, nn.BatchNorm2d)
    for before, now in zip(own, norms, strict=False):
        now.load_state_dict(before.state_dict())
    if own:
        return
    convolutions = zip(_of_type(source, nn.Conv2d), _of_type(target, nn.Conv2d), strict=True)
    for (before, conv), norm in zip(convolutions, norms, strict=False):
        variance, mean = moments[before]
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
        norm.running_var.copy_(variance)
        norm.running_mean.copy_(mean if conv.bias is not None else mean - before.bias)


def _convert(source: nn.Module, target: nn.Module, before: str, now: str, factor: int) -> None:
    """Set one stage's kernels so that each pair of channels responds as in `source`, by least squares."""
    kernels = _by_pair(source)
    wanted = kernels.double() @ _responses(before, factor)
    taps = torch.linalg.lstsq(_responses(now, factor).T, wanted.flatten(0, 1).T).solution.T
    channels, inputs = kernels.shape[:2]
    if isinstance(target, nn.ConvTranspose2d):
        weight = taps.reshape(channels, inputs, -1).transpose(0, 1)
    else:  # a pixel shuffle takes factor^2 outputs for one channel
        parts = len(target.weight) // channels
        weight = taps.reshape(channels, inputs, parts, -1).transpose(1, 2)
    target.weight.copy_(weight.reshape(target.weight.shape))
    bias = source.bias.reshape(channels, -1).mean(1)
    target.bias.copy_(bias.repeat_interleave(len(target.bias) // channels))


def _weighted(layers: nn.Module) -> nn.Module:
    """Return the one layer of an upsampling stage that has weights."""
    return next(m for m in layers.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


def _by_pair(layer: nn.Module) -> Tensor:
    """Return the kernels of a stage as (output channels, input channels, taps)."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.weight.transpose(0, 1).flatten(2)
    channels = inputs = layer.in_channels  # a stage keeps the number of channels
    return layer.weight.reshape(channels, -1, inputs, layer.weight[0, 0].numel()).transpose(1, 2).flatten(2)


@cache
def _responses(upsampler: str, factor: int) -> Tensor:
    """Return the output of a stage of one channel to one bright pixel, per weight: (taps, pixels)."""
    layers = UPSAMPLERS[upsampler](1, (factor,), False)[0].double()
    layer, image = _weighted(layers), torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    image[..., 3, 3] = 1
    nn.init.zeros_(layer.bias)
    rows = []
    for one in torch.eye(layer.weight.numel(), dtype=torch.float64):
        layer.weight.copy_(one.view_as(layer.weight))
        rows.append(layers(image).flatten())
    return torch.stack(rows)
