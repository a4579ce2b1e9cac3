"""Generators in ncnn's binary format -> tensors under the names that their own projects use.

A .bin file holds the convolutions in the order of its .param file. Of each, a tag of four bytes (0x01306B47:
half precision, padded to four bytes; 0: single precision), the weights, and the bias in single precision.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

HALF = 0x01306B47

Shape = tuple[str, int, int, int]
"""Name, output channels, input channels, side of the kernel."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def array(self, dtype: str, count: int) -> np.ndarray:
        """Return the next `count` numbers; ValueError if the data ends before."""
        values = np.frombuffer(self.data, dtype, count, self.place)
        self.place += values.nbytes + -values.nbytes % 4
        return values

    def convolution(self, name: str, out: int, inside: int, side: int) -> dict[str, Tensor]:
        tag = int(self.array("<u4", 1)[0])
        if tag not in (0, HALF):
            raise ValueError(f"{name} has the unknown storage tag {tag:#x}")
        weight = self.array("<f2" if tag else "<f4", out * inside * side * side)
        weight = weight.astype(np.float32).reshape(out, inside, side, side)
        bias = self.array("<f4", out).astype(np.float32)
        return {f"{name}.weight": torch.from_numpy(weight), f"{name}.bias": torch.from_numpy(bias)}

    def end(self) -> None:
        if self.place != len(self.data):
            raise ValueError(f"{len(self.data) - self.place} bytes are left after the last layer")


def read_rrdb(data: bytes, blocks: int = 23, channels: int = 64, growth: int = 32) -> dict[str, Tensor]:
    """Return the tensors of ESRGAN's x4 generator in BasicSR's names.

    ValueError if the data is not such a network.
    """
    reader, tensors = _Reader(data), {}
    for layer in _rrdb_layers(blocks, channels, growth):
        tensors |= reader.convolution(*layer)
    reader.end()
    return tensors


def _rrdb_layers(blocks: int, channels: int, growth: int) -> Iterator[Shape]:
    yield "conv_first", channels, 3, 3
    for b in range(blocks):
        for d in (1, 2, 3):
            for k in range(1, 6):
                out = channels if k == 5 else growth
                yield f"body.{b}.rdb{d}.conv{k}", out, channels + (k - 1) * growth, 3
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        yield name, channels, channels, 3
    yield "conv_last", 3, channels, 3


def read_span(data: bytes, channels: int = 48) -> dict[str, Tensor]:
    """Return the tensors of SPAN x4 in the names of its own project.

    The file holds each re-parametrised convolution (Conv3XC) merged into one kernel. It becomes a Conv3XC
    that merges to exactly this kernel, in training as in evaluation.

    ValueError if the data is not such a network.
    """
    reader = _Reader(data)
    reader.array("<f4", 3)  # the mean colour, which is a constant of the network's code
    tensors = {}
    for name, out, inside, side in _span_layers(channels):
        merged = reader.convolution(name, out, inside, side)
        plain = name in ("conv_cat", "upsampler.0")
        tensors |= merged if plain else _conv3xc(name, *merged.values())
    reader.end()
    return tensors


def _span_layers(channels: int) -> Iterator[Shape]:
    yield "conv_1", channels, 3, 3
    for b in range(1, 7):
        for k in (1, 2, 3):
            yield f"block_{b}.c{k}_r", channels, channels, 3
    yield "conv_2", channels, channels, 3
    yield "conv_cat", channels, 4 * channels, 1
    yield "upsampler.0", 3 * 4**2, channels, 3


def _conv3xc(name: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Return a Conv3XC of gain 2 that merges to `weight` (out, in, 3, 3) and `bias`.

    Its three convolutions are a copy of the input to both halves, half the kernel between all halves, and the
    mean of both halves: products and sums of powers of two, so the merged kernel is exact.
    """
    out, inside = weight.shape[:2]
    copy, mean = torch.eye(inside).repeat(2, 1), torch.eye(out).repeat(1, 2) / 2
    return {
        f"{name}.sk.weight": torch.zeros(out, inside, 1, 1),
        f"{name}.sk.bias": torch.zeros(out),
        f"{name}.conv.0.weight": copy[..., None, None],
        f"{name}.conv.0.bias": torch.zeros(2 * inside),
        f"{name}.conv.1.weight": weight.repeat(2, 2, 1, 1) / 2,
        f"{name}.conv.1.bias": bias.repeat(2),
        f"{name}.conv.2.weight": mean[..., None, None],
        f"{name}.conv.2.bias": torch.zeros(out),
        f"{name}.eval_conv.weight": weight.clone(),
        f"{name}.eval_conv.bias": bias.clone(),
    }
