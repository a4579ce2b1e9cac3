"""The champion as one file that other tools open: ONNX, or weights in the names of its public architecture.

Each file is read back before it counts: ONNX by onnxruntime on three sizes, weights by spandrel.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from datasets.errors import UserError
from datasets.files import atomic_file
from orchestrator.registry.gate_images import GateImages
from orchestrator.registry.load_model import load_weight_file
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig, portable
from trainers.config.generators import GENERATORS
from trainers.device import pick_device
from trainers.inference.onnx_files import FIXED_SIZE, OnnxNetwork, write_onnx
from trainers.metrics import format_metric
from trainers.weight_formats import has_public_names, public_weights
from trainers.weight_import import ENDINGS


def possible_exports(config: GeneratorConfig) -> str:
    """Return a sentence: the files that `upsweep promote --export` can write of a network."""
    free = GENERATORS[config.kind].free_sizes
    onnx = ".onnx (any size)" if free else f".onnx (inputs of {FIXED_SIZE[2]}x{FIXED_SIZE[3]} only)"
    weights = "; its weights open here only, because no public tool knows the architecture"
    if has_public_names(config):
        weights = f", and .safetensors or .pth in the names of {config.kind}, which spandrel reads"
    return f"exports, by --export FILE: {onnx}{weights}"


@dataclass(frozen=True)
class Export:
    """The file to write, and whether it is judged."""

    path: Path
    half: bool = False
    """Store and compute in float16."""
    judge: bool = False
    """Measure the file on the gate images beside the network."""

    def check(self) -> None:
        """Raise UserError unless the file can be written."""
        if self.path.suffix not in (".onnx", *ENDINGS):
            raise UserError(f"--export must end in .onnx, .safetensors or .pth, but got '{self.path}'")
        if not self.path.parent.is_dir():
            raise UserError(
                f"--export must name a file in an existing folder, but there is no {self.path.parent}"
            )


def write_export(export: Export, generator: nn.Module, config: TrainConfig, work_dir: Path) -> list[str]:
    """Write the file, read it back, judge it if asked to; return the sentences to print.

    UserError if the network cannot be written in that form, or the gate images cannot be opened.
    """
    export.check()
    if export.path.suffix == ".onnx":
        difference = write_onnx(generator, config.generator, export.path, half=export.half)
        lines = [f"read back by onnxruntime: the largest difference is {difference:.2g} of 1"]
        written: nn.Module | None = OnnxNetwork(export.path) if export.judge else None
    else:
        written, line = _write_weights(export, generator, config)
        lines = [line]
    if written is not None and export.judge:
        lines.append(_judged(written, generator, config, work_dir))
    return lines


def _write_weights(export: Export, generator: nn.Module, config: TrainConfig) -> tuple[nn.Module, str]:
    public = has_public_names(config.generator)
    if not public and export.path.suffix == ".pth":
        raise UserError(
            f"no public tool knows {config.generator.kind} with these settings, so none could read a .pth: "
            f"export .onnx, or .safetensors to train it further here"
        )
    weights = public_weights(generator, config.generator) if public else checkpoint.weights_of(generator)
    kind = torch.float16 if export.half else torch.float32
    weights = {name: t.to(kind) if t.is_floating_point() else t for name, t in weights.items()}
    with atomic_file(export.path) as new:
        if export.path.suffix == ".pth":
            torch.save({"params": weights}, new)
        else:
            save_file(weights, new, metadata={"config": json.dumps(portable(config))})
    if not public:
        return generator, "in the names of this project: no public tool knows the architecture"
    back, read = load_weight_file(export.path)
    return back, f"read back by spandrel as {read.generator.kind} x{read.generator.scale}"


def _judged(written: nn.Module, generator: nn.Module, config: TrainConfig, work_dir: Path) -> str:
    """Measure both on the gate images; return the file's values and their distance from the network's."""
    gate = GateImages(config, work_dir, pick_device(config.run.device))
    ours, theirs = (gate.measure(n.to(gate.device)).evaluation.summary for n in (generator, written))
    return "on the gate images: " + ", ".join(
        f"{m} {format_metric(m, theirs[m])} (network {format_metric(m, ours[m])}, {theirs[m] - ours[m]:+.4f})"
        for m in gate.metrics
    )
