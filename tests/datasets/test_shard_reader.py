"""The traps of webdataset 1.0.2 that our path can meet: each story shows the naive use fail and ours pass."""

import contextlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import webdataset
from helpers.hostile_images import FRAMES, PNG, flipped, zipped
from PIL import Image

from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from datasets.manifest import MANIFEST
from datasets.shard_reader import Files, read_manifest, samples
from datasets.shard_writer import PackSettings, pack
from datasets.shuffle_buffer import stream
from datasets.sources import FolderSource
from datasets.validate import SplitSource

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return make_shards(tmp_path, "shards", 0)


def make_shards(root: Path, name: str, seed: int) -> Path:
    photos = root / f"photos-{name}"
    photos.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    for i in range(24):
        Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(photos / f"{i:02d}.png")
    source = FolderSource(photos)
    pack(
        root / name, name, {"train": SplitSource(source, source.members())}, PackSettings(images_per_shard=4)
    )
    return root / name


def tars(folder: Path) -> list[str]:
    return sorted(str(p) for p in folder.glob("*.tar"))


def opened(folder: Path, work: Path) -> ImageSet:
    return ImageSet(str(folder), "train", work / "cache")


def all_samples(images: ImageSet) -> list[tuple[str, Files]]:
    return list(samples(images.location, images.manifest.splits["train"].shards))


def test_shard_order_changes_with_the_epoch(shards: Path, tmp_path: Path) -> None:
    naive = webdataset.WebDataset(tars(shards), shardshuffle=100, seed=7)
    assert [s["__key__"] for s in naive] == [s["__key__"] for s in naive]
    ours = [s.index for s, _ in zip(stream(opened(shards, tmp_path), 7, 0), range(48), strict=False)]
    assert ours[:24] != ours[24:] and sorted(ours[:24]) == sorted(ours[24:])


def test_a_tar_cut_on_a_record_boundary_is_an_error(shards: Path, tmp_path: Path) -> None:
    with tarfile.open(tars(shards)[0]) as tar:
        third = tar.getmembers()[2].offset
    Path(tars(shards)[0]).write_bytes(Path(tars(shards)[0]).read_bytes()[:third])
    assert len(list(webdataset.WebDataset(tars(shards), shardshuffle=False))) == 22
    with pytest.raises(UserError, match=r"has \d+ bytes, but the manifest says \d+; import it again"):
        all_samples(opened(shards, tmp_path))


def test_a_sparse_shard_of_gigabytes_is_refused_before_a_byte_is_read(shards: Path, tmp_path: Path) -> None:
    os.truncate(tars(shards)[0], 3 * 2**30)
    with pytest.raises(UserError, match="has 3221225472 bytes, but the manifest says"):
        all_samples(opened(shards, tmp_path))


def test_a_pipe_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "executed"
    url = f"pipe:touch {witness}; cat /dev/null"
    with contextlib.suppress(tarfile.ReadError):
        list(webdataset.WebDataset([url], shardshuffle=False, empty_check=False))
    assert witness.exists()
    witness.unlink()
    with pytest.raises(UserError):
        open_images(url, "train", work_dir=tmp_path)
    assert not witness.exists()


def test_a_rewritten_url_is_never_run(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "executed"
    monkeypatch.setenv("GOPEN_REWRITE", f"http://h=pipe:touch {witness} #;{shards}=pipe:touch {witness} #")
    with contextlib.suppress(tarfile.ReadError):
        list(webdataset.WebDataset("http://h/a.tar", shardshuffle=False, empty_check=False))
    assert witness.exists()
    witness.unlink()
    assert len(all_samples(opened(shards, tmp_path))) == 24
    assert not witness.exists()


class _Payload:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (self.path,))


def test_a_pickle_is_never_loaded(shards: Path, tmp_path: Path) -> None:
    import pickle

    witness = tmp_path / "unpickled"
    evil = pickle.dumps(_Payload(str(witness)))
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("00.pyd")
        info.size = len(evil)
        tar.addfile(info, io.BytesIO(evil))
    list(webdataset.WebDataset(str(tmp_path / "evil.tar"), shardshuffle=False).decode())
    assert witness.exists()
    witness.rmdir()
    Path(tars(shards)[0]).write_bytes((tmp_path / "evil.tar").read_bytes())
    with pytest.raises(UserError, match="train-00000.tar"):
        all_samples(opened(shards, tmp_path))
    assert not witness.exists()


def test_launcher_variables_change_nothing(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_samples(opened(shards, tmp_path))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError):
        list(webdataset.WebDataset(tars(shards), shardshuffle=False))
    assert all_samples(opened(shards, tmp_path)) == before


@pytest.mark.parametrize("name", ["a#b", "a?b", "a b", "ä%20b", "a{1..2}b", "a::b"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    shards = make_shards(tmp_path, name, 0)
    if name in ("a#b", "a?b"):
        with pytest.raises(FileNotFoundError):
            list(webdataset.WebDataset(tars(shards)[0], shardshuffle=False))
    assert len(all_samples(opened(shards, tmp_path))) == 24


def test_a_key_with_dots_stays_one_key(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with webdataset.TarWriter(str(tmp_path / "naive.tar"), mtime=0) as writer:
        writer.write({"__key__": "img.v1", "png": pixels})
    (naive,) = webdataset.WebDataset(str(tmp_path / "naive.tar"), shardshuffle=False)
    assert "v1.png" in naive and naive["__key__"] == "img"
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos" / "img.v1.png")
    source = FolderSource(tmp_path / "photos")
    pack(tmp_path / "out", "t", {"train": SplitSource(source, source.members())}, PackSettings())
    assert [key for key, _ in all_samples(opened(tmp_path / "out", tmp_path))] == ["img_v1"]


def test_duplicate_keys_in_a_tar_are_noticed(shards: Path, tmp_path: Path) -> None:
    with tarfile.open(tars(shards)[0]) as tar:
        first = tar.extractfile(tar.getmembers()[0]).read()  # type: ignore[union-attr]
    with tarfile.open(tars(shards)[0], "w") as tar:
        for name in ("00.png", "01.png", "02.png", "00.png"):
            info = tarfile.TarInfo(name)
            info.size = len(first)
            tar.addfile(info, io.BytesIO(first))
    naive = webdataset.WebDataset(tars(shards)[0], shardshuffle=False)
    assert [s["__key__"] for s in naive] == ["00", "01", "02", "00"]
    with pytest.raises(UserError, match="or its hash differs|bytes, but the manifest says"):
        all_samples(opened(shards, tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_equal_file_names_of_two_datasets_do_not_collide(tmp_path: Path, server: str) -> None:
    a, b = make_shards(tmp_path, "a", 1), make_shards(tmp_path, "b", 2)
    (tmp_path / "naive").mkdir()
    naive = [
        next(iter(webdataset.WebDataset(
            f"{server}/{n}/train-00000.tar", shardshuffle=False, cache_dir=str(tmp_path / "naive")
        )))["png"]
        for n in "ab"
    ]  # fmt: skip
    assert naive[0] == naive[1]
    ours = [opened(folder, tmp_path)[0] for folder in (a, b)]
    assert not np.array_equal(*ours)


TARS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda tar: b"",
    "zeros": lambda tar: bytes(10240),
    "html": lambda tar: b"<html>error</html>",
    "doubled": lambda tar: tar + tar,
    "first byte": lambda tar: flipped(tar, 0),
    "size field": lambda tar: flipped(tar, 128),
    "type field": lambda tar: tar[:156] + b"2" + tar[157:],
    "half": lambda tar: tar[: len(tar) // 2],
    "zip": lambda tar: zipped(("x.png", PNG)),
}


@pytest.mark.parametrize("case", TARS)
def test_a_damaged_shard_is_an_error(tmp_path: Path, case: str) -> None:
    (tmp_path / "p").mkdir()
    for i, frame in enumerate(FRAMES):
        frame.save(tmp_path / "p" / f"{i}.png")
    source = FolderSource(tmp_path / "p")
    out = tmp_path / "o"
    pack(out, "t", {"all": SplitSource(source, source.members())}, PackSettings())
    tar = out / "all-00000.tar"
    tar.write_bytes(TARS[case](tar.read_bytes()))
    with pytest.raises(UserError, match="all-00000.tar (gave|is damaged|has)"):
        list(samples(str(out), read_manifest(str(out)).splits["all"].shards))
    assert (out / MANIFEST).is_file()
