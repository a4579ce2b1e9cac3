"""The stored form of a trained generator: a dynamic-shape export, and weights to continue training from.

The export takes and returns float32 (N, bands, H, W) in [0, 1] for any N, H and W, with
mlflow.pyfunc.load_model or `mlflow models serve`, and does not need this project. It runs on the CPU, on a
machine with a GPU as well. A network of attention windows has an export of one size only: (1, 3, 64, 64).
generator.safetensors and config.json are beside it in extra_files/. Nothing in it is a pickle.
"""

import json
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import Schema, TensorSpec
from safetensors.torch import save_file
from torch import nn

from trainers.checkpoint import weights_of
from trainers.config import TrainConfig, portable
from trainers.config.generators import GENERATORS
from trainers.inference.onnx_files import FIXED_SIZE, Clamped, checked_sizes
from trainers.models import deployed

TOLERANCE = 1e-4


def log_generator(generator: nn.Module, config: TrainConfig) -> str:
    """Log both forms to the active MLflow run and return the model's URI.

    RuntimeError if the export, read back, differs from the network on any of three input sizes.
    """
    free = GENERATORS[config.generator.kind].free_sizes
    bands = config.generator.image_channels
    (n, c, h, w), k = (-1, bands, -1, -1) if free else FIXED_SIZE, 1 if free else config.generator.scale
    signature = ModelSignature(_images(n, c, h, w), _images(n, c, k * h, k * w))
    # Two images: a dimension of size 1 would become a constant of the export.
    example = np.random.default_rng(0).random((2, bands, 24, 32) if free else FIXED_SIZE, dtype=np.float32)
    frozen = (
        Clamped(deployed(generator)).cpu().eval()
    )  # in train mode BN would be exported with batch statistics
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        info = Model.log(
            None,
            flavor=_OnCpu,
            name="generator",
            pytorch_model=frozen,
            signature=signature,
            input_example=example,
            pip_requirements=[_pinned(name) for name in ("mlflow", "torch", "numpy")],
            extra_files=[str(path) for path in _write_weights(Path(folder), generator, config)],
            serialization_format="pt2",
        )
    check_export(info.model_uri, frozen, checked_sizes(bands) if free else (FIXED_SIZE,))
    return info.model_uri


class _OnCpu:
    """MLflow's pytorch flavor, with the CPU written into the model as the device to load it on.

    Where MLflow finds a GPU, it would ask for it, and refuse an exported program with weights on the CPU.
    """

    @staticmethod
    def save_model(path: str, mlflow_model: Model, **values: Any) -> None:
        mlflow.pytorch.save_model(path=path, mlflow_model=mlflow_model, **values)
        mlflow_model.flavors["python_function"]["config"] = {"device": "cpu"}
        mlflow_model.save(str(Path(path) / MLMODEL_FILE_NAME))


def _images(*shape: int) -> Schema:
    return Schema([TensorSpec(np.dtype("float32"), shape)])


def _pinned(package: str) -> str:
    return f"{package}=={version(package).partition('+')[0]}"  # "+cpu" exists on torch's own index only


def _write_weights(folder: Path, generator: nn.Module, config: TrainConfig) -> list[Path]:
    save_file(weights_of(generator), folder / "generator.safetensors")
    (folder / "config.json").write_text(json.dumps(portable(config), indent=1, sort_keys=True))
    return [folder / "generator.safetensors", folder / "config.json"]


def check_export(model_uri: str, expected: nn.Module, sizes: Sequence[tuple[int, ...]]) -> None:
    """Compare the stored model with `expected` on inputs of `sizes`; RuntimeError if they differ."""
    served: Any = mlflow.pyfunc.load_model(model_uri)
    draw = torch.Generator().manual_seed(0)
    for size in sizes:
        lr_image = torch.rand(size, generator=draw)
        with torch.inference_mode():
            wanted = expected(lr_image)
        output = torch.from_numpy(np.asarray(served.predict(lr_image.numpy())))
        if output.shape != wanted.shape or not torch.allclose(output, wanted, atol=TOLERANCE):
            raise RuntimeError(f"the exported model differs from the network on an input of shape {size}")
