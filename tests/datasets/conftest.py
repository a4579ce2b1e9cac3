"""Fixtures of several tests of datasets."""

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.archives import png
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    for i in range(6):
        (path / f"{i}.png").write_bytes(png(i))
    return path


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(48):
        pixels = np.random.default_rng(i).integers(0, 256, (160, 160, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        (folder / f"{i}.png").write_bytes(buffer.getvalue())
    return folder
