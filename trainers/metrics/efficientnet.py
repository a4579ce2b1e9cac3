"""EfficientNet-lite0 (Tan & Le, 2019; the lite variant of Google's TPU models) as a feature extractor.

Inverted residuals without squeeze-and-excitation, ReLU6 in place of swish. Names of modules are those of the
published weights (trainers/weights, efficientnet_lite0).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 224
_STAGES = (  # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Conv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: the odd pixel goes to the right and to the bottom."""

    def __init__(self, inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        return super().forward(F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2)))


class _Block(nn.Module):
    def __init__(self, inside: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = _Conv(inside, wide, 1), _norm(wide)
        self._depthwise_conv = _Conv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv, self._bn2 = _Conv(wide, out, 1), _norm(out)
        self.expands, self.skips = expansion > 1, stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skips else y


class EfficientNetLite0(nn.Module):
    """uint8 (N, 3, H, W) -> features (N, 1280): means over space of the last convolution's output.

    Images are resized to 224 px, bicubic with antialiasing, and scaled to [-1, 1] as in training.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Conv(3, 32, 3, 2), _norm(32)
        blocks, inside = [], 32
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for k in range(repeats):
                blocks.append(_Block(inside, channels, kernel, 1 if k else stride, expansion))
                inside = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _Conv(inside, 1280, 1), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, images: Tensor) -> Tensor:
        x = F.interpolate(images.float(), (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False)
        x = (x.clamp(0, 255) - 127.5) / 127.5
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def classify(self, images: Tensor) -> Tensor:
        """Return the probabilities (N, 1000) of ImageNet's classes."""
        return torch.softmax(self._fc(self(images)), dim=1)
