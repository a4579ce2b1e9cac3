"""The pictures of a study: from folders, networks and classical resizers over one set of HR and LR pairs.

All are uint8 (H, W, 3) of one size per image. create.py writes them.
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
    """The compared models by name, each a folder of finished pictures or a network, and resizers."""

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


def parse_named(words: Sequence[str], option: str) -> dict[str, str]:
    """Parse NAME=PLACE words; UserError for another form, an empty name, a repeated name or HR."""
    places: dict[str, str] = {}
    for word in words:
        name, equals, place = word.partition("=")
        if not (equals and name and place):
            raise UserError(f"{option} must be NAME=PLACE, but got '{word}'")
        if name == HR or name in places:
            raise UserError(f"{option} names {name} twice; each model needs its own name, other than HR")
        places[name] = place
    return places


def open_pairs(hr: str, test: str, scale: int, degradation: str, work_dir: Path) -> list[Pair]:
    """Return the HR and LR pairs of a folder or of a test set; UserError unless exactly one is named."""
    if bool(hr) == bool(test):
        raise UserError("name the HR pictures by --hr FOLDER or by --test SET, one of the two")
    if hr and not Path(hr).is_dir():
        raise UserError(f"--hr must be a folder of pictures, but there is none at {hr}")
    return open_test_set(test or hr, scale, degradation, work_dir).pairs


def match_files(sources: Sources, pairs: Sequence[Pair]) -> dict[str, dict[str, Path]]:
    """Return the file of every folder for every pair, by model and key.

    Raises:
        UserError: if a folder lacks a picture, has one too many or two for one pair, or a resizer is unknown.
    """
    for kind in sources.resizers:
        if kind not in RESIZERS:
            raise unknown("resizer", kind, RESIZERS, "--resizers")
    keys = [pair.key for pair in pairs]
    return {
        name: _match_folder(name, folder, keys, sources.scale) for name, folder in sources.folders.items()
    }


def _match_folder(name: str, folder: Path, keys: Sequence[str], scale: int) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"--images {name} must be a folder of pictures, but there is none at {folder}")
    files: dict[str, Path] = {}
    for file, below in expand([str(folder)]):
        key = str(below) if str(below) in keys else str(below).removesuffix(f"_x{scale}")
        if key in files:
            raise UserError(f"--images {name} has two pictures for {key}: {files[key].name}, {file.name}")
        files[key] = file
    lacking, extra = [k for k in keys if k not in files], [k for k in files if k not in keys]
    if lacking:
        raise UserError(f"--images {name} lacks {_some(lacking)}; every folder needs the names of the HR set")
    if extra:
        raise UserError(f"--images {name} has {_some(extra)}, which the HR set lacks; leave them out")
    return files


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:3])
    return f"{shown} and {len(keys) - 3} more" if len(keys) > 3 else shown


def render(pair: Pair, sources: Sources, files: Mapping[str, Mapping[str, Path]]) -> dict[str, np.ndarray]:
    """Return the picture of every model for one pair; nearest neighbour is always among them."""
    pictures = {n: _read_file(n, files[n][pair.key], pair.hr, sources.scale) for n in sources.folders}
    for name, network in sources.networks.items():
        pictures[name] = upscale(network, pair.lr_image, scale=sources.scale)
    for kind in dict.fromkeys((*sources.resizers, NEAREST)):
        if kind not in pictures:
            pictures[kind] = resize_up(pair.lr_image, sources.scale, kind, sources.degradation)
    pictures[HR] = pair.hr
    return {name: _rgb(pixels) for name, pixels in pictures.items()}


def _read_file(name: str, file: Path, hr: np.ndarray, scale: int) -> np.ndarray:
    """Read a picture and cut it to the size of `hr`, which was cropped to a multiple of `scale`."""
    pixels = eight_bit(read(file).pixels)
    (height, width), (rows, columns) = hr.shape[:2], pixels.shape[:2]
    if not (0 <= rows - height < scale and 0 <= columns - width < scale):
        raise UserError(
            f"sizes differ: {file.name} of {name} is {columns} x {rows} px, HR is {width} x {height} px"
        )
    return pixels[:height, :width]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
