"""Networks as ONNX files: written, read back on other sizes, and used like a network.

Needs the extra `onnx`. The file takes and returns (N, C, H, W) in [0, 1] for any N, H and W, or for one
size if the row of the network in trainers/config/generators.py has no free sizes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.config.generators import GENERATORS
from trainers.models import deployed

FIXED_SIZE = (1, 3, 64, 64)
_CHECKED_SIZES = ((1, 17, 33), (3, 24, 24), (2, 31, 18))
TOLERANCE = {torch.float32: 1e-4, torch.float16: 0.05}
SCALE_KEY = "scale"


def checked_sizes(channels: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of inputs on which an export of a network of `channels` bands is read back."""
    return tuple((n, channels, height, width) for n, height, width in _CHECKED_SIZES)


class Clamped(nn.Module):
    """A generator with its output clamped to [0, 1], as a finished image must be."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, lr_image: Tensor) -> Tensor:
        return self.generator(lr_image).clamp(0, 1)


class OnnxNetwork(nn.Module):
    """An ONNX file as a network on the CPU: float32 (N, C, h, w) in [0, 1] -> (N, C, scale*h, scale*w)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise UserError("ONNX files need the extra onnx: pip install 'upsweep[onnx]'") from None
        try:
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many types
            raise UserError(f"{path} cannot be read as an ONNX file: {error}") from None
        stated = self.session.get_modelmeta().custom_metadata_map.get(SCALE_KEY, "")
        if not stated.isdigit():
            raise UserError(f"{path} does not state its scale: it was not exported here")
        self.scale = int(stated)
        self.half = self.session.get_inputs()[0].type == "tensor(float16)"
        self.place = nn.Parameter(torch.zeros(1), requires_grad=False)  # tells callers its device

    def forward(self, lr_image: Tensor) -> Tensor:
        pixels = lr_image.cpu().numpy().astype(np.float16 if self.half else np.float32)
        (output,) = self.session.run(None, {self.session.get_inputs()[0].name: pixels})
        return torch.from_numpy(output.astype(np.float32))


def write_onnx(generator: nn.Module, config: GeneratorConfig, path: Path, *, half: bool = False) -> float:
    """Write `generator` to `path`; return the largest difference that onnxruntime shows on three sizes.

    With `half`, weights, input and output are float16.

    Raises:
        UserError: the extra `onnx` is not installed, or the file, read back, differs from the network beyond
            TOLERANCE; then it is deleted.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError:
        raise UserError("ONNX files need the extra onnx: pip install 'upsweep[onnx]'") from None
    free, dtype = GENERATORS[config.kind].free_sizes, torch.float16 if half else torch.float32
    network = Clamped(deployed(generator)).cpu().eval()
    example = torch.rand((2, config.image_channels, 24, 32) if free else FIXED_SIZE)
    dynamic: Any = ({0: "batch", 2: "height", 3: "width"},) if free else None
    exported = deployed(network).to(dtype)
    program = torch.onnx.export(
        exported,
        (example.to(dtype),),
        dynamo=True,
        dynamic_shapes=dynamic,
        input_names=["lr_image"],
        output_names=["sr"],
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {SCALE_KEY: str(config.scale), "generator": config.kind})
    onnx.save(model, path)
    return _read_back(
        path, network, checked_sizes(config.image_channels) if free else (FIXED_SIZE,), TOLERANCE[dtype]
    )


def _read_back(path: Path, network: nn.Module, sizes: Any, tolerance: float) -> float:
    written, largest = OnnxNetwork(path), 0.0
    for n, channels, height, width in sizes:
        # as smooth as a picture: of white noise SPAN makes differences of 0.0075 out of rounding errors alone
        coarse = torch.rand((n, channels, 4, 4), generator=torch.Generator().manual_seed(0))
        image = interpolate(coarse, size=(height, width), mode="bilinear")
        with torch.inference_mode():
            wanted = network(image)
        largest = max(largest, (written(image) - wanted).abs().max().item())
    if not largest <= tolerance:
        path.unlink()
        raise UserError(
            f"the ONNX file differs from the network by {largest:.2g} of 1, more than {tolerance:g}, and was "
            f"deleted; export .safetensors or .pth"
        )
    return largest
