"""Small photographs, archives of them, and imports of both."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.prepare import prepare
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource
from datasets.validate import SplitSource


def png(seed: int, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def packed(folder: Path, out: Path, **settings: object) -> Path:
    source = FolderSource(folder)
    pack(out, "t", {"all": SplitSource(source, source.members())}, PackSettings(**settings))  # type: ignore[arg-type]
    return out


def photographs(folder: Path, n: int, side: int = 48, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    for i in range(n):
        pixels = noise.integers(0, 256, (side, side + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo {i}.v1.png")
    return folder


def picture(seed: int, side: int = 40, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def lsun_zip(tmp_path: Path, images: dict[bytes, bytes]) -> Path:
    folder = make_lmdb(tmp_path / "tower_train_lmdb", images)
    files = {f"tower_train_lmdb/{p.name}": p.read_bytes() for p in folder.iterdir()}
    return make_zip(tmp_path / "tower_train_lmdb.zip", files)


def counts(name: str, source: Path, out: Path, **options: object) -> dict[str, int]:
    manifest = prepare(name, str(source), str(out), **options)  # type: ignore[arg-type]
    return {split: entry.count for split, entry in manifest.splits.items()}


def make_lmdb(folder: Path, images: dict[bytes, bytes]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(folder), map_size=1 << 28) as env, env.begin(write=True) as transaction:
        for key, value in images.items():
            transaction.put(key, value)
    return folder


def lsun_images(n: int) -> dict[bytes, bytes]:
    kinds = ("JPEG", "WEBP")  # real categories hold either, whatever their names say
    return {f"{i:040x}".encode(): picture(i, kind=kinds[i % 2]) for i in range(n)}
