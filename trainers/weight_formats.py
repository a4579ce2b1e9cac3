"""Import and export of public weight files: other projects' tensor names for the networks in trainers/models.

Tensors are copied unchanged, so a file that is imported and exported again has equal names and bits.
Known layouts: BasicSR's RRDBNet, the two of ESRGAN's own repository, and the generator of leftthomas/SRGAN.
Reading a file runs no code from it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.errors import UserError, unknown
from trainers.config import GeneratorConfig

Names = dict[str, str]  # our module -> theirs


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


def import_generator(path: Path, *, prefer: str = "params_ema") -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Return the settings and the state, in our names, of the generator in a public weight file.

    If the file holds several sets of weights (`params`, `params_ema`), `prefer` names the one to read.

    Raises:
        UserError: the file cannot be read or has no known layout; the message names a tensor that does not
            fit.
    """
    theirs = _read(path, prefer)
    layout = _recognise_layout(theirs, path)
    config, names = (_leftthomas if layout == "leftthomas" else _rrdb)(theirs, layout)
    wanted = {their_module: ours for ours, their_module in names.items()}
    state = {}
    for name, tensor in theirs.items():
        module, leaf = name.rsplit(".", 1)
        if module not in wanted:
            raise UserError(f"'{path}' looks like {layout}, but holds the unknown tensor '{name}'")
        state[f"{wanted[module]}.{leaf}"] = tensor
    present = {name.rsplit(".", 1)[0] for name in theirs}
    for module in wanted:
        if module not in present:
            raise UserError(f"'{path}' looks like {layout}, but lacks '{module}.weight'")
    return config, state


def export_generator(
    generator: nn.Module,
    config: GeneratorConfig,
    path: Path,
    *,
    layout: str = "basicsr",
    ema: nn.Module | None = None,
) -> None:
    """Write `generator` (and `ema`) as a weight file that the project of `layout` can load.

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


def _read(path: Path, prefer: str) -> dict[str, Tensor]:
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # torch and safetensors raise many types
        raise UserError(f"'{path}' cannot be read as a weight file: {error}") from error
    sets = [key for key in ("params_ema", "params") if isinstance(content, dict) and key in content]
    if sets:
        content = content[prefer if prefer in sets else sets[0]]
    if not isinstance(content, dict) or not all(
        isinstance(v, Tensor) and "." in k for k, v in content.items()
    ):
        raise UserError(f"'{path}' holds no table of named tensors")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _recognise_layout(theirs: Mapping[str, Tensor], path: Path) -> str:
    for layout, rrdb in RRDB_LAYOUTS.items():
        first = rrdb.conv.format(b=0, d=1, k=1)
        if f"{first}.weight" in theirs and f"{rrdb.head}.weight" in theirs:
            return layout
    if "block1.0.weight" in theirs and "block2.conv1.weight" in theirs:
        return "leftthomas"
    example = next(iter(theirs), "nothing")
    raise UserError(
        f"'{path}' has none of the known layouts ({', '.join(LAYOUTS)}); its first tensor is '{example}'"
    )


def _rrdb(theirs: Mapping[str, Tensor], layout: str) -> tuple[GeneratorConfig, Names]:
    rrdb = RRDB_LAYOUTS[layout]
    blocks = _count(theirs, lambda b: rrdb.conv.format(b=b, d=1, k=1))
    stages = _count(theirs, lambda i: rrdb.ups.format(i=i + 1, place=3 * (i + 1)))
    head = theirs[f"{rrdb.head}.weight"]
    fold = {3: 1, 12: 2, 48: 4}.get(head.shape[1])
    if fold is None:
        raise UserError(f"{rrdb.head}.weight reads {head.shape[1]} channels; known: 3, 12 and 48")
    first = theirs[f"{rrdb.conv.format(b=0, d=1, k=1)}.weight"]
    config = GeneratorConfig(
        kind="rrdb",
        scale=2**stages // fold,
        num_blocks=blocks,
        channels=head.shape[0],
        growth=first.shape[0],
        norm="none",
        upsampler="nearest_conv",
        unshuffle_input=fold > 1,
    )
    return config, rrdb.names(blocks, stages)


def _leftthomas(theirs: Mapping[str, Tensor], layout: str) -> tuple[GeneratorConfig, Names]:
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
