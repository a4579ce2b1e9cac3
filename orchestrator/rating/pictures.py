"""Where the pictures of a study come from: folders, networks and classical resizers over one set of pairs.

All are uint8 (H, W, 3) of one size per image. Nothing is stored here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from datasets.errors import UserError, unknown
from datasets.loader import Pair
from orchestrator.rating.study import HR, NEAREST
from trainers.benchmarks.sets import open_test_set
from trainers.evaluate import RESIZERS, resize_up
from trainers.inference.image_io import eight_bit, expand, read
from trainers.inference.tiling import upscale


@dataclass(frozen=True)
class Sources:
    """What is compared: models by name, each a folder of finished pictures or a network."""

    folders: Mapping[str, Path]
    networks: Mapping[str, nn.Module]
    resizers: Sequence[str]
    scale: int
    degradation: str

    @property
    def names(self) -> list[str]:
        """Models in the order given, then resizers that no model replaces, then HR."""
        given = [*self.folders, *self.networks]
        return [*given, *(kind for kind in self.resizers if kind not in given), HR]


def named(words: Sequence[str], option: str) -> dict[str, str]:
    """NAME=PLACE words as a table; UserError for another form, an empty name, a name twice or HR."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, place = word.partition("=")
        if not (equals and name and place):
            raise UserError(f"{option} must be NAME=PLACE, but got '{word}'")
        if name == HR or name in found:
            raise UserError(f"{option} names {name} twice; each model needs a name of its own, other than HR")
        found[name] = place
    return found


def reference(hr: str, test: str, scale: int, degradation: str, work_dir: Path) -> list[Pair]:
    """Pairs of HR pictures and inputs: of a folder, or of a test set. UserError where not one is named."""
    if bool(hr) == bool(test):
        raise UserError("name the HR pictures by --hr FOLDER or by --test SET, one of the two")
    if hr and not Path(hr).is_dir():
        raise UserError(f"--hr must be a folder of pictures, but there is none at {hr}")
    return open_test_set(test or hr, scale, degradation, work_dir).pairs


def check(sources: Sources, pairs: Sequence[Pair]) -> dict[str, dict[str, Path]]:
    """The file of every folder for every pair, by model and key; UserError where the sets are unequal."""
    for kind in sources.resizers:
        if kind not in RESIZERS:
            raise unknown("resizer", kind, RESIZERS, "--resizers")
    keys = [pair.key for pair in pairs]
    return {name: _files(name, folder, keys, sources.scale) for name, folder in sources.folders.items()}


def _files(name: str, folder: Path, keys: Sequence[str], scale: int) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"--images {name} must be a folder of pictures, but there is none at {folder}")
    found: dict[str, Path] = {}
    for file, below in expand([str(folder)]):
        key = str(below) if str(below) in keys else str(below).removesuffix(f"_x{scale}")
        if key in found:
            raise UserError(f"--images {name} has two pictures for {key}: {found[key].name}, {file.name}")
        found[key] = file
    lacking, more = [k for k in keys if k not in found], [k for k in found if k not in keys]
    if lacking:
        raise UserError(f"--images {name} lacks {_some(lacking)}; every folder needs the names of the HR set")
    if more:
        raise UserError(f"--images {name} has {_some(more)}, which the HR set lacks; leave them out")
    return found


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:3])
    return f"{shown} and {len(keys) - 3} more" if len(keys) > 3 else shown


def of_pair(pair: Pair, sources: Sources, files: Mapping[str, Mapping[str, Path]]) -> dict[str, np.ndarray]:
    """The picture of every model for one pair, and that of the nearest neighbour in any case."""
    out = {n: _of_file(n, files[n][pair.key], pair.hr, sources.scale) for n in sources.folders}
    for name, network in sources.networks.items():
        out[name] = upscale(network, pair.lr_image, scale=sources.scale)
    for kind in dict.fromkeys((*sources.resizers, NEAREST)):
        if kind not in out:
            out[kind] = resize_up(pair.lr_image, sources.scale, kind, sources.degradation)
    out[HR] = pair.hr
    return {name: _rgb(pixels) for name, pixels in out.items()}


def _of_file(name: str, file: Path, hr: np.ndarray, scale: int) -> np.ndarray:
    """The pixels of a file, without the last rows and columns that HR lost as no multiple of `scale`."""
    pixels = eight_bit(read(file).pixels)
    (height, width), (rows, columns) = hr.shape[:2], pixels.shape[:2]
    if not (0 <= rows - height < scale and 0 <= columns - width < scale):
        raise UserError(
            f"sizes differ: {file.name} of {name} is {columns} x {rows} px, HR is {width} x {height} px"
        )
    return pixels[:height, :width]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
