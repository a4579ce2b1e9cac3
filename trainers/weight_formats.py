"""Public weight files out: other projects' tensor names for our networks.

Tensors are copied unchanged, so a file that is read (trainers/weight_import.py) and written again has equal
names and bits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datasets.errors import UserError, unknown
from trainers.config import GeneratorConfig
from trainers.config.generators import GENERATORS

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
        return leftthomas_names(config.num_blocks, doublings(config.scale))
    if layout != "basicsr" and config.unshuffle_input:
        raise UserError(f"the weight layout {layout} has no generator.unshuffle_input; export as basicsr")
    final = 4 if config.unshuffle_input else config.scale
    return RRDB_LAYOUTS[layout].names(config.num_blocks, doublings(final))


def doublings(scale: int) -> int:
    """Return the number of doublings that make up `scale`; UserError if it is not a power of 2."""
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


def leftthomas_names(blocks: int, stages: int) -> Names:
    """Return the name in leftthomas/SRGAN of every module of our network of this kind."""
    names = {"head.0": "block1.0", "head.1": "block1.1"}
    for b in range(blocks):
        for place, part in enumerate(("conv1", "bn1", "prelu", "conv2", "bn2")):
            names[f"blocks.{b}.body.{place}"] = f"block{b + 2}.{part}"
    fuse, last = f"block{blocks + 2}", f"block{blocks + 3}"
    names |= {"fuse.0": f"{fuse}.0", "fuse.1": f"{fuse}.1"}
    for i in range(stages):
        names |= {f"upsampling.{i}.0.0": f"{last}.{i}.conv", f"upsampling.{i}.1": f"{last}.{i}.prelu"}
    return names | {"tail": f"{last}.{stages}"}
