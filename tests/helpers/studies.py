"""What the tests of studies share: sets of small pictures that differ, and a request that runs in seconds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import splits
from experiments import recipes
from orchestrator.studies.request import Request
from trainers.config import override

SIZES = {"test": 32, "val": 2, "train": 6}
TINY = {
    "data.crop_px": 32,
    "data.eval_crop_px": 32,
    "data.batch_size": 2,
    "data.eval_images": 2,
    "generator.num_blocks": 1,
    "generator.channels": 4,
    "discriminator.base_channels": 4,
    "discriminator.num_layers": 3,
    "run.psnr_steps": 2,
    "run.gan_steps": 2,
    "run.psnr_eval_every_steps": 2,
    "run.eval_every_steps": 1,
    "run.log_every_steps": 1,
    "run.checkpoint_every_steps": 1,
    "run.device": "cpu",
}


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two folders of 52 x 56 px pictures, smooth and coloured differently, and a split that they fill."""
    for name in ("miniature", "upsampling"):
        monkeypatch.setitem(splits.STUDIES, name, SIZES)
    return [f"{name}={pictures(tmp_path / name, k)}" for k, name in enumerate(("warm", "cold"))]


def pictures(folder: Path, kind: int, count: int = sum(SIZES.values())) -> Path:
    """Random blobs, no two alike, reddish or bluish."""
    rng = np.random.default_rng(kind)
    folder.mkdir()
    for i in range(count):
        small = rng.integers(40, 216, size=(6, 6, 3), dtype=np.uint8)
        small[..., 2 * kind] //= 3
        image = Image.fromarray(small).resize((52, 56), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:03d}.png")
    return folder


def request(tmp_path: Path, kind: str, recipe: str, data: list[str], **changes) -> Request:
    """A study without Ray and MLflow, with one seed."""
    own = {k.replace("__", "."): v for k, v in changes.items() if "__" in k}
    rest = {k: v for k, v in changes.items() if "__" not in k}
    values = {
        "kind": kind,
        "name": kind,
        "config": override(recipes.build(recipe), TINY | own),
        "storage": tmp_path / "runs",
        "data": tuple(data),
        "seeds": 1,
        "miniature": True,
        "track": False,
        "ray": False,
    }
    return Request(**values | rest)
