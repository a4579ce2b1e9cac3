"""Public weight files in and out: other projects' tensor names for our networks.

spandrel recognises the architecture of a file and its sizes; the layout of leftthomas/SRGAN, which it does not
know, is read here. Tensors are copied unchanged, so a file that is read and written again has equal names and
bits. Reading a file runs no code from it.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.errors import UserError, unknown
from trainers.config import GeneratorConfig
from trainers.config.generators import GENERATORS
from trainers.models import build_generator

Names = dict[str, str]  # our module -> theirs

ENDINGS = (".pth", ".safetensors")
READ_BACK = 1e-4  # largest difference between the network that was built and spandrel's


class RRDBLayout(NamedTuple):
    """One project's module names of an RRDBNet: {b} counts blocks from 0, {d} and {k} count from 1.

    {n}, {place}, {hr} and {tail} are positions in a layout that numbers its modules.
    """

    head: str
    conv: str
    fuse: str
    ups: str
    hr: str
    tail: str

    def names(self, blocks: int, stages: int) -> Names:
        """Return their name of every module of a network with `blocks` RRDBs and `stages` doublings."""
        place = {"n": blocks, "hr": 3 * stages + 2, "tail": 3 * stages + 4}
        names = {"head": self.head}
        for b in range(blocks):
            for d in range(3):
                for k in range(5):
                    names[f"blocks.{b}.body.{d}.convs.{k}"] = self.conv.format(b=b, d=d + 1, k=k + 1)
        names["fuse"] = self.fuse.format(**place)
        for i in range(stages):
            names[f"upsampling.{i}.0.1"] = self.ups.format(i=i + 1, place=3 * (i + 1))
        return names | {"hr.0": self.hr.format(**place), "tail": self.tail.format(**place)}


RRDB_LAYOUTS = {
    "basicsr": RRDBLayout(
        "conv_first", "body.{b}.rdb{d}.conv{k}", "conv_body", "conv_up{i}", "conv_hr", "conv_last"
    ),
    "esrgan": RRDBLayout(
        "conv_first", "RRDB_trunk.{b}.RDB{d}.conv{k}", "trunk_conv", "upconv{i}", "HRconv", "conv_last"
    ),
    "esrgan_old": RRDBLayout(
        "model.0",
        "model.1.sub.{b}.RDB{d}.conv{k}.0",
        "model.1.sub.{n}",
        "model.{place}",
        "model.{hr}",
        "model.{tail}",
    ),
}

LAYOUTS = (*RRDB_LAYOUTS, "leftthomas")


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
        config, state = _recognised(described, path)
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    _check(config, state, network, path)
    return config, state


def _recognised(described: Any, path: Path) -> tuple[GeneratorConfig, dict[str, Tensor]]:
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
        names = RRDB_LAYOUTS["esrgan_old"].names(config.num_blocks, _doublings(sizes["scale"]))
        return config, _in_our_names(network.state_dict(), names, path)
    from trainers.models.public import spandrel_class

    kinds = {spandrel_class(kind): kind for kind, row in GENERATORS.items() if row.public}
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


def _check(
    config: GeneratorConfig, state: dict[str, Tensor], theirs: nn.Module | None, path: Path
) -> None:
    """Raise UserError unless our network takes `state` and computes what `theirs` computes."""
    ours = build_generator(config).eval()
    try:
        ours.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"'{path}' looks like {config.kind}, but {_first_line(error)}") from None
    if theirs is None:
        return
    image = torch.rand((1, 3, 24, 24), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, output = theirs(image.clone()), ours(image)
    if not torch.allclose(output, expected, atol=READ_BACK, rtol=READ_BACK):
        raise UserError(
            f"'{path}' was recognised as {config.kind}, but its output differs by "
            f"{(output - expected).abs().max():.2g}: it has a setting that cannot be read from its tensors"
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2])


def public_weights(generator: nn.Module, config: GeneratorConfig) -> dict[str, Tensor]:
    """Return the weights of `generator` in the names of its public architecture, which spandrel reads.

    Raises:
        UserError: the network is of no public architecture; only ONNX can carry it elsewhere.
    """
    state = {name: t.detach().cpu().contiguous().clone() for name, t in generator.state_dict().items()}
    if GENERATORS[config.kind].public:
        return {name.removeprefix("net."): tensor for name, tensor in state.items()}
    return _renamed(state, _names_for_export(config, "basicsr"))


def export_generator(
    generator: nn.Module,
    config: GeneratorConfig,
    path: Path,
    *,
    layout: str = "basicsr",
    ema: nn.Module | None = None,
) -> None:
    """Write `generator` (and `ema`) as a *.pth file that the project of `layout` can load.

    The three RRDB layouts require kind rrdb with nearest_conv, leftthomas kind leftthomas with pixel_shuffle.
    BasicSR's layout stores `params` and, with `ema`, `params_ema`; the others store one set of tensors, the
    averaged ones if given.

    Raises:
        UserError: the layout is unknown, or it cannot express the generator.
    """
    if layout not in LAYOUTS:
        raise unknown("weight layout", layout, LAYOUTS)
    names = _names_for_export(config, layout)
    states = {"params": generator} if ema is None else {"params": generator, "params_ema": ema}
    renamed = {key: _renamed(module.state_dict(), names) for key, module in states.items()}
    torch.save(renamed if layout == "basicsr" else list(renamed.values())[-1], path)


def _names_for_export(config: GeneratorConfig, layout: str) -> Names:
    kind, upsampler = ("leftthomas", "pixel_shuffle") if layout == "leftthomas" else ("rrdb", "nearest_conv")
    wanted = {
        "kind": kind,
        "upsampler": upsampler,
        "norm": "batch" if layout == "leftthomas" else "none",
        "global_skip": "none",
    }
    for field, value in wanted.items():
        if getattr(config, field) != value:
            raise UserError(
                f"the weight layout {layout} needs generator.{field} {value}, "
                f"but got {getattr(config, field)}"
            )
    if layout == "leftthomas":
        return _leftthomas_names(config.num_blocks, _doublings(config.scale))
    if layout != "basicsr" and config.unshuffle_input:
        raise UserError(f"the weight layout {layout} has no generator.unshuffle_input; export as basicsr")
    final = 4 if config.unshuffle_input else config.scale
    return RRDB_LAYOUTS[layout].names(config.num_blocks, _doublings(final))


def _doublings(scale: int) -> int:
    if scale & (scale - 1):
        raise UserError(
            f"public layouts have doublings only, so generator.scale must be a power of 2, but got {scale}"
        )
    return scale.bit_length() - 1


def _renamed(state: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        module, leaf = name.rsplit(".", 1)
        renamed[f"{names[module]}.{leaf}"] = tensor.detach().cpu().clone()
    return renamed


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
    return config, _leftthomas_names(blocks, stages)


def _leftthomas_names(blocks: int, stages: int) -> Names:
    names = {"head.0": "block1.0", "head.1": "block1.1"}
    for b in range(blocks):
        for place, part in enumerate(("conv1", "bn1", "prelu", "conv2", "bn2")):
            names[f"blocks.{b}.body.{place}"] = f"block{b + 2}.{part}"
    fuse, last = f"block{blocks + 2}", f"block{blocks + 3}"
    names |= {"fuse.0": f"{fuse}.0", "fuse.1": f"{fuse}.1"}
    for i in range(stages):
        names |= {f"upsampling.{i}.0.0": f"{last}.{i}.conv", f"upsampling.{i}.1": f"{last}.{i}.prelu"}
    return names | {"tail": f"{last}.{stages}"}


def _count(theirs: Mapping[str, Tensor], module: Callable[[int], str]) -> int:
    """Return the number of consecutive modules, counted from 0, whose weights are in `theirs`."""
    number = 0
    while f"{module(number)}.weight" in theirs:
        number += 1
    return number
