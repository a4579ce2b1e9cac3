"""Test sets as pairs of HR and LR images, as they were published.

A test set is a folder with HR and LR pictures (shipped pairs), a folder of photographs (cropped and degraded
here), a shard folder (its test role), or a name of the catalogue. trainers/evaluate.py measures on them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.config import SHIPPED, DataConfig
from datasets.degrade import down
from datasets.errors import UserError
from datasets.image_set import open_images
from datasets.loader import Pair, eval_pairs
from datasets.shard_reader import is_shards
from trainers.inference.image_io import expand, read


@dataclass(frozen=True)
class TestSet:
    """Pairs, and the name that heads their columns."""

    __test__ = False  # keeps pytest from collecting the class

    name: str
    pairs: list[Pair]
    degradation: str


def open_test_set(spec: str, scale: int, degradation: str, work_dir: Path) -> TestSet:
    """Open the test set `spec`: NAME=FOLDER, FOLDER, or a catalogue name (its test role).

    A one-channel picture stays one-channel, (H, W): benchmark code measures it without YCbCr.

    Raises:
        UserError: if there is no picture, or the set ships pairs for other scales only.
    """
    name, _, folder = spec.rpartition("=")
    path = Path(folder)
    if not path.is_dir() or is_shards(folder):
        images = open_images(folder, "test", work_dir=work_dir)
        pairs = eval_pairs(images, DataConfig(degradation=degradation), scale)
        return TestSet(name or images.name, pairs, SHIPPED if images.pairs_scale else degradation)
    for root in (path / f"x{scale}", path):
        if (root / "HR").is_dir() and (root / "LR").is_dir():
            return TestSet(name or path.name, _shipped(root, scale), SHIPPED)
    if shipped := sorted(p.parent.name for p in path.glob("x*/LR")):
        raise UserError(
            f"{path} ships pairs for {', '.join(shipped)}, not for x{scale}; name a folder of photographs "
            f"to have the inputs made here"
        )
    return TestSet(name or path.name, _degraded(path, scale, degradation), degradation)


def _shipped(root: Path, scale: int) -> list[Pair]:
    pairs = []
    for file, below in _pictures(root / "HR"):
        lr_file = root / "LR" / file.relative_to(root / "HR")
        pairs.append(Pair(str(below), _cropped(read(file).pixels, scale), read(lr_file).pixels))
    return pairs


def _degraded(folder: Path, scale: int, degradation: str) -> list[Pair]:
    pairs = []
    for file, below in _pictures(folder):
        hr = _cropped(read(file).pixels, scale)
        planes = hr if hr.ndim == 3 else np.repeat(hr[..., None], 3, axis=2)
        small = down(torch.from_numpy(planes.copy()).permute(2, 0, 1)[None], scale, degradation)[0]
        lr_image = small.permute(1, 2, 0).contiguous().numpy()
        pairs.append(Pair(str(below), hr, lr_image if hr.ndim == 3 else lr_image[..., 0].copy()))
    return pairs


def _pictures(folder: Path) -> list[tuple[Path, Path]]:
    files = expand([str(folder)])
    if not files:
        raise UserError(f"no picture in {folder}")
    return files


def _cropped(pixels: np.ndarray, scale: int) -> np.ndarray:
    if pixels.dtype != np.uint8:
        raise UserError("test sets are 8-bit pictures; convert the 16-bit ones first")
    height, width = (side // scale * scale for side in pixels.shape[:2])
    return pixels[:height, :width]
