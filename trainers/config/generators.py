"""The table of generators: what each kind is built from, which settings it reads, and what it supports.

Adding a generator is one file in trainers/models and one row here. Public architectures come from spandrel
(MIT) in their published sizes; trainers/models/public.py restores what training needs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from datasets.errors import UserError, unknown
from trainers.plugins import Table, is_own

Arguments = Mapping[str, Any]
SCALES = (1, 2, 3, 4, 8, 16)


@dataclass(frozen=True)
class GeneratorKind:
    """One row: a network and the settings that it reads. All other settings have one allowed value."""

    network: str
    """`module.Class` in trainers/models, called with a GeneratorConfig; of a public architecture spandrel's
    `package.Class`; of a user's own network `file.py:Name`."""
    reads: tuple[str, ...]
    """Fields of GeneratorConfig that the network reads, besides kind and scale."""
    fixed: Arguments = field(default_factory=dict)
    """Unread fields whose only value differs from the default, because it describes the network."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Unread field -> why it has only one value, for the error message."""
    scales: tuple[int, ...] = SCALES
    sizes: Mapping[str, Arguments] = field(default_factory=dict)
    """Published size -> arguments of spandrel's class; the first is the default."""
    arguments: Arguments = field(default_factory=dict)
    """Arguments that all sizes share."""
    scale_argument: str = "upscale"
    """The name of spandrel's argument for the magnification."""
    overlap: int = 0
    """Input pixels around a tile, if the network sees the whole image: tiles then approximate it. 0: the
    receptive field is measured and tiles equal the whole image."""
    window: int = 1
    """Tiles begin at multiples of this many input pixels, where attention windows begin."""
    smallest: int = 1
    """Smaller inputs are padded with their last pixels to this many pixels a side."""
    free_sizes: bool = True
    """False: an exported program takes inputs of one size, because its attention windows fix the sizes."""
    smallest_batch: int = 1
    """Images that a part of a batch needs, for batch norm over pooled features."""

    def why(self, name: str) -> str:
        """Return the reason why field `name` has only one value, as the end of a sentence about the kind."""
        if name == "image_channels":
            return "takes 8-bit RGB; other bands need srresnet, rrdb or srcnn"
        if self.public:
            return f"comes in published sizes: {', '.join(self.sizes)}; set generator.size"
        return self.reasons.get(name, "does not read it")

    @property
    def public(self) -> bool:
        """True for an architecture from spandrel, in one of its `sizes`."""
        return bool(self.sizes)

    @property
    def own(self) -> bool:
        """True for a network in a file of the user, which may read every setting."""
        return is_own(self.network)


def _swinir(dim: int, groups: int, upsampler: str) -> dict[str, Any]:
    return {"embed_dim": dim, "depths": [6] * groups, "num_heads": [6] * groups, "upsampler": upsampler}


def _dat(window: int, expansion: float) -> dict[str, Any]:
    six = [6] * 6
    return {
        "embed_dim": 180,
        "depth": six,
        "num_heads": six,
        "split_size": [8, window],
        "expansion_factor": expansion,
    }


_RESIDUAL = ("num_blocks", "channels", "norm", "upsampler", "icnr")
_RRDB = (
    "image_channels",
    "num_blocks",
    "channels",
    "growth",
    "upsampler",
    "icnr",
    "global_skip",
    "unshuffle_input",
)
_TANH = {"global_skip": "ends in tanh, which bounds its output"}
_SRCNN: tuple[tuple[str, ...], Arguments, dict[str, str]] = (
    ("image_channels", "channels", "global_skip", "colors"),
    {"num_blocks": 1, "norm": "none", "upsampler": "bicubic_input"},
    {"num_blocks": "has three layers", "upsampler": "never upsamples features"},
)
_DIRECT = (1, 2, 3, 4, 8)  # one convolution and one pixel shuffle, for any magnification

_public = partial(GeneratorKind, reads=("size",))

_BUILT_IN: dict[str, GeneratorKind] = {
    "srresnet": GeneratorKind("srresnet.SRResNet", ("image_channels", *_RESIDUAL, "global_skip")),
    "leftthomas": GeneratorKind("srresnet.LeftThomas", _RESIDUAL, reasons=_TANH),
    "rrdb": GeneratorKind("rrdb.RRDBNet", _RRDB, {"norm": "none"}, {"norm": "has no normalisation"}),
    "srcnn_915": GeneratorKind("srcnn.srcnn_915", *_SRCNN),
    "srcnn_955": GeneratorKind("srcnn.srcnn_955", *_SRCNN),
    # SRVGGNetCompact (Wang et al., 2021, code of Real-ESRGAN): animevideov3 and general-x4v3
    "compact": _public(
        "Compact.Compact",
        scales=_DIRECT,
        sizes={"conv16": {"num_conv": 16}, "conv32": {"num_conv": 32}},
    ),
    # Wan et al., 2024; 426,288 and 498,208 parameters once its branches are merged
    "span": _public(
        "SPAN.SPAN",
        scales=_DIRECT,
        sizes={"ch48": {"feature_channels": 48}, "ch52": {"feature_channels": 52}},
        arguments={"num_in_ch": 3, "num_out_ch": 3},
    ),
    # Lee et al., 2024
    "plksr": _public(
        "PLKSR.PLKSR",
        scales=_DIRECT,
        sizes={"base": {}, "tiny": {"n_blocks": 12, "kernel_size": 13, "use_ea": False}},
        arguments={"ccm_type": "DCCM"},
        scale_argument="upscaling_factor",
    ),
    # the variant of neosr, with group norm over the whole image
    "realplksr": _public(
        "PLKSR.RealPLKSR",
        scales=_DIRECT,
        sizes={"base": {}},
        scale_argument="upscaling_factor",
        overlap=64,
    ),
    # umzi2, 2024
    "mosr": _public("MoSR.MoSR", scales=_DIRECT, sizes={"base": {}}),
    # Wang et al., 2023; channel attention and a grid of windows see the whole image
    "omnisr": _public(
        "OmniSR.OmniSR",
        scales=_DIRECT,
        sizes={"base": {"res_num": 5}},
        scale_argument="up_scale",
        overlap=64,
        window=8,
        smallest=16,
        free_sizes=False,
    ),
    # Liang et al., 2021: lightweight and classical
    "swinir": _public(
        "SwinIR.SwinIR",
        scales=(2, 3, 4, 8),
        sizes={
            "light": _swinir(60, 4, "pixelshuffledirect"),
            "classical": _swinir(180, 6, "pixelshuffle"),
        },
        arguments={"window_size": 8, "mlp_ratio": 2.0, "drop_path_rate": 0.0},
        overlap=32,
        window=8,
        smallest=16,
        free_sizes=False,
    ),
    # Chen et al., 2023: DAT-light, DAT-S, DAT-2 and DAT
    "dat": _public(
        "DAT.DAT",
        scales=(2, 3, 4),
        sizes={
            "light": {
                "embed_dim": 60,
                "depth": [18],
                "num_heads": [6],
                "split_size": [8, 32],
                "expansion_factor": 2.0,
                "resi_connection": "3conv",
                "upsampler": "pixelshuffledirect",
            },
            "s": _dat(16, 2.0),
            "2": _dat(32, 2.0),
            "base": _dat(32, 4.0),
        },
        arguments={"drop_path_rate": 0.0},
        overlap=64,
        window=32,
        free_sizes=False,
        smallest_batch=2,
    ),
    # Zhang et al., 2018; channel attention averages the whole image
    "rcan": _public(
        "RCAN.RCAN",
        scales=(2, 3, 4, 8),
        sizes={"base": {}},
        scale_argument="scale",
        overlap=64,
    ),
}

GENERATORS = Table(_BUILT_IN, lambda kind: GeneratorKind(kind, ()))


def size_arguments(kind: str, size: str) -> dict[str, Any]:
    """Return the arguments of spandrel's class for `size` of the public architecture `kind`.

    `size` is a name in the table, empty for the first, or a JSON object of arguments, as `--start` writes for
    a file whose size is not in the table.

    Raises:
        UserError: there is no such size.
    """
    row = GENERATORS[kind]
    if size.startswith("{"):
        try:
            return {**row.arguments, **json.loads(size)}
        except ValueError:
            raise UserError(f"generator.size must be a name or a JSON object, but got {size}") from None
    if size and size not in row.sizes:
        raise unknown("size", size, row.sizes, f"generator.size of {kind}")
    return {**row.arguments, **row.sizes[size or next(iter(row.sizes))]}
