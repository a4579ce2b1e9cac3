"""Weight files -> named tensors; nothing in a file is executed.

Torch files are read with weights_only, NumPy archives without pickles, and pickles of other projects by an
unpickler that admits NumPy arrays alone.
"""

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from trainers.weights.ncnn import read_rrdb, read_span

Tensors = dict[str, Tensor]


def read_file(path: Path) -> Tensors:
    """Return the tensors of a .safetensors, .npz or torch file; any exception means that it is damaged."""
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return dict(torch.load(path, map_location="cpu", weights_only=True))


_ARRAY_PARTS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler of nested dicts of NumPy arrays; any other class raises UnpicklingError."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, but only NumPy arrays are admitted")
        return _ARRAY_PARTS[module, name]


def unpickle_arrays(data: bytes) -> dict[str, Any]:
    """Return the nested dict of NumPy arrays in a pickle.

    Raises:
        pickle.UnpicklingError: the pickle refers to a class that is not NumPy's array.
    """
    return _ArrayUnpickler(io.BytesIO(data)).load()


ALEXNET_CONVOLUTIONS = (0, 3, 6, 8, 10)
VGG16_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the convolutions in torchvision's `features`."""


def _flax(network: str, places: tuple[int, ...]) -> Callable[[bytes], Tensors]:
    """Return a reader of Flax parameters: kernels (H, W, in, out) become torch's (out, in, H, W)."""

    def read(data: bytes) -> Tensors:
        layers: Mapping[str, Any] = unpickle_arrays(data)[network]
        tensors = {}
        for k, place in enumerate(places):
            layer = layers[f"Conv_{k}"]
            kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
            tensors[f"features.{place}.weight"] = torch.from_numpy(kernel)
            tensors[f"features.{place}.bias"] = torch.from_numpy(layer["bias"].copy())
        return tensors

    return read


CONVERTERS: dict[str, Callable[[bytes], Tensors]] = {
    "flax_alexnet": _flax("AlexNet_0", ALEXNET_CONVOLUTIONS),
    "flax_vgg16": _flax("VGG16_0", VGG16_CONVOLUTIONS),
    "ncnn_rrdb": read_rrdb,
    "ncnn_span": read_span,
}
"""Layouts of packaged files that differ from the published ones: bytes -> tensors under published names."""
