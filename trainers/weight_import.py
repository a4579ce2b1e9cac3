"""Public weight files in: the settings and the weights of the network in a file.

spandrel recognises the architecture of a file and its sizes; the layout of leftthomas/SRGAN, which it does
not know, is read here. Reading a file runs no code from it.
"""

import inspect
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.errors import UserError
from trainers.config import GeneratorConfig
from trainers.config.generators import GENERATORS
from trainers.models import build_generator
from trainers.weight_formats import ESRGAN_OLD, Names, doublings, leftthomas_names

ENDINGS = (".pth", ".safetensors")
READ_BACK = 1e-6  # largest difference between the network that was built and spandrel's


def import_generator(path: Path) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Return the settings and the state, in our names and float32, of the generator in a public weight file.

    If the file holds several sets of weights, the averaged one (`params_ema`) is read.

    Raises:
        UserError: the file cannot be read, or holds an architecture that is not in
            trainers/config/generators.py, or one that does not compute what spandrel's class computes.
    """
    theirs = _read(path)
    if "block1.0.weight" in theirs and "block2.conv1.weight" in theirs:
        config, names = _leftthomas(theirs)
        state, network = _in_our_names(theirs, names, path), None
    else:
        # seconds to import, which only public files need
        from spandrel import ModelLoader, UnsupportedModelError

        from trainers.models.public import spandrel_class

        try:
            described = ModelLoader().load_from_state_dict(dict(theirs))
        except UnsupportedModelError:
            raise UserError(
                f"'{path}' has no architecture that is known here; its first tensor is "
                f"'{next(iter(theirs), 'nothing')}'"
            ) from None
        except Exception as error:  # spandrel and torch raise many types
            raise UserError(f"'{path}' does not fit its architecture: {_first_line(error)}") from None
        network = described.model.eval()
        kinds = {spandrel_class(kind): kind for kind, row in GENERATORS.items() if row.public}
        config, state = _recognised(described, kinds, path)
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    _check(config, state, network, path)
    return config, state


def _recognised(
    described: Any, kinds: Mapping[type, str], path: Path
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Return settings and state of a network that spandrel has recognised."""
    network, name = described.model, described.architecture.name
    if described.input_channels != 3 or described.output_channels != 3:
        raise UserError(f"'{path}' reads {described.input_channels} channels; generators here have three")
    sizes = network.hyperparameters
    if described.architecture.id == "ESRGAN" and not sizes["plus"]:
        fold = sizes["shuffle_factor"] or 1
        config = GeneratorConfig(
            kind="rrdb",
            scale=sizes["scale"] // fold,
            num_blocks=sizes["num_blocks"],
            channels=sizes["num_filters"],
            norm="none",
            upsampler="nearest_conv",
            unshuffle_input=fold > 1,
        )
        names = ESRGAN_OLD.names(config.num_blocks, doublings(sizes["scale"]))
        return config, _in_our_names(network.state_dict(), names, path)
    if type(network) not in kinds:
        raise UserError(
            f"'{path}' holds the architecture {name}, which cannot be trained here; known: rrdb, "
            f"{', '.join(kinds.values())}"
        )
    kind = kinds[type(network)]
    config = GeneratorConfig(kind=kind, scale=described.scale, size=_size(kind, sizes))
    return config, {f"net.{key}": tensor for key, tensor in network.state_dict().items()}


def _size(kind: str, sizes: Mapping[str, Any]) -> str:
    """Return the published size with these arguments, else the arguments that differ from the kind's."""
    from trainers.models.public import spandrel_class

    row = GENERATORS[kind]
    signature = inspect.signature(spandrel_class(kind).__init__)
    defaults = {k: p.default for k, p in signature.parameters.items() if p.default is not p.empty}
    ignored = (row.scale_argument, "drop_path_rate")
    plain = {k: v for k, v in json.loads(json.dumps(sizes, default=str)).items() if k not in ignored}

    def differing(arguments: Mapping[str, Any]) -> dict[str, Any]:
        expected = json.loads(json.dumps(defaults | dict(row.arguments) | dict(arguments), default=str))
        return {k: v for k, v in plain.items() if expected.get(k) != v}

    for name, arguments in row.sizes.items():
        if not differing(arguments):
            return name
    return json.dumps(differing({}), sort_keys=True)


def _check(config: GeneratorConfig, state: dict[str, Tensor], theirs: nn.Module | None, path: Path) -> None:
    """Raise UserError unless our network takes `state` and computes what `theirs` computes."""
    ours = build_generator(config).eval()
    try:
        ours.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"'{path}' looks like {config.kind}, but {_first_line(error)}") from None
    if theirs is None:
        return
    # in float64: noise of float32 grows to half a grey level in SPAN on this image of noise
    image = torch.rand((1, 3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        expected, output = theirs.double()(image.clone()), ours.double()(image)
    if not torch.allclose(output, expected, atol=READ_BACK, rtol=READ_BACK):
        raise UserError(
            f"'{path}' was recognised as {config.kind}, but its output differs by "
            f"{(output - expected).abs().max():.2g}: it has a setting that cannot be read from its tensors"
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2])


def _in_our_names(theirs: Mapping[str, Tensor], names: Names, path: Path) -> dict[str, Tensor]:
    ours = {their_module: module for module, their_module in names.items()}
    state = {}
    for name, tensor in theirs.items():
        module, leaf = name.rsplit(".", 1)
        if module not in ours:
            raise UserError(f"'{path}' holds the unknown tensor '{name}'")
        state[f"{ours[module]}.{leaf}"] = tensor
    return state


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except pickle.UnpicklingError:  # torch's own sentences advise to run what is in the file
        raise UserError(
            f"'{path}' cannot be read as a weight file: it is damaged, or holds more than tensors, and "
            f"reading that would run code of the file; ask its author for .safetensors"
        ) from None
    except Exception as error:  # torch and safetensors raise many types
        raise UserError(f"'{path}' cannot be read as a weight file: {_first_line(error)}") from None
    for key in ("params_ema", "params"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"'{path}' holds no table of named tensors")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _leftthomas(theirs: Mapping[str, Tensor]) -> tuple[GeneratorConfig, Names]:
    blocks = _count(theirs, lambda b: f"block{b + 2}.conv1")
    stages = _count(theirs, lambda i: f"block{blocks + 3}.{i}.conv")
    config = GeneratorConfig(
        kind="leftthomas",
        scale=2**stages,
        num_blocks=blocks,
        channels=theirs["block1.0.weight"].shape[0],
    )
    return config, leftthomas_names(blocks, stages)


def _count(theirs: Mapping[str, Tensor], module: Callable[[int], str]) -> int:
    """Return the number of consecutive modules, counted from 0, whose weights are in `theirs`."""
    number = 0
    while f"{module(number)}.weight" in theirs:
        number += 1
    return number
