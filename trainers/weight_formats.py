"""Public weight files out: other projects' tensor names for our networks.

Tensors are copied unchanged, so a file that is read (trainers/weight_import.py) and written again has equal
names and bits.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from datasets.errors import UserError
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


BASICSR = RRDBLayout(
    "conv_first", "body.{b}.rdb{d}.conv{k}", "conv_body", "conv_up{i}", "conv_hr", "conv_last"
)
"""The names of BasicSR and Real-ESRGAN."""
ESRGAN_OLD = RRDBLayout(
    "model.0",
    "model.1.sub.{b}.RDB{d}.conv{k}.0",
    "model.1.sub.{n}",
    "model.{place}",
    "model.{hr}",
    "model.{tail}",
)
"""The names of ESRGAN's first files, which spandrel gives to every RRDB."""


_NEEDS = {"kind": "rrdb", "upsampler": "nearest_conv", "norm": "none", "global_skip": "none", "growth": 32}
"""Settings of the RRDB networks that other tools know."""


def has_public_names(config: GeneratorConfig) -> bool:
    """Return True if spandrel knows the architecture, so that `public_weights` can name its tensors."""
    plain = all(getattr(config, field) == value for field, value in _NEEDS.items())
    return GENERATORS[config.kind].public or (plain and config.scale & (config.scale - 1) == 0)


def public_weights(generator: nn.Module, config: GeneratorConfig) -> dict[str, Tensor]:
    """Return the weights of `generator` in the names of its public architecture, which spandrel reads.

    Raises:
        UserError: the network is of no public architecture; only ONNX can carry it elsewhere.
    """
    state = {name: t.detach().cpu().contiguous().clone() for name, t in generator.state_dict().items()}
    if GENERATORS[config.kind].public:
        return {name.removeprefix("net."): tensor for name, tensor in state.items()}
    for field, value in _NEEDS.items():
        if getattr(config, field) != value:
            raise UserError(
                f"BasicSR's names need generator.{field} {value}, but got {getattr(config, field)}"
            )
    stages = doublings(4 if config.unshuffle_input else config.scale)
    return renamed(state, BASICSR.names(config.num_blocks, stages))


def doublings(scale: int) -> int:
    """Return the number of doublings that make up `scale`; UserError if it is not a power of 2."""
    if scale & (scale - 1):
        raise UserError(
            f"public layouts have doublings only, so generator.scale must be a power of 2, but got {scale}"
        )
    return scale.bit_length() - 1


def renamed(state: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Return the tensors under their names in another project; `names` are those of modules."""
    parts = {name: name.rsplit(".", 1) for name in state}
    return {f"{names[module]}.{leaf}": state[name] for name, (module, leaf) in parts.items()}


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
