"""Shards behind URLs: S3, Google's store and a misbehaving web server, all on loopback."""

import http.server
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets import prepare as preparation
from datasets import shuffle_buffer
from datasets.config import DataConfig
from datasets.errors import UserError
from datasets.image_set import ImageSet, open_images
from datasets.loader import TrainLoader
from datasets.prepare import prepare
from datasets.remote_shards import is_url
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource
from datasets.validate import SplitSource

Answer = Callable[[http.server.SimpleHTTPRequestHandler, bytes], bool]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture(autouse=True)
def temporary_files_of_a_test_are_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files that a killed run left in the system's folder for temporary files must decide nothing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def shards(photos: Path, tmp_path: Path) -> Path:
    prepare("folder", str(photos), str(tmp_path / "web" / "shards"))
    return tmp_path / "web" / "shards"


class Web:
    """A file server on loopback whose next answers can be spoilt."""

    def __init__(self, root: Path) -> None:
        self.spoil: list[Answer] = []
        self.requests: list[str] = []
        web = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                web.requests.append(f"{self.path} {self.headers.get('Range', '')}".strip())
                data = Path(self.translate_path(self.path))
                tar = self.path.endswith(".tar")
                if tar and web.spoil and web.spoil.pop(0)(self, data.read_bytes()):
                    return
                super().do_GET()

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/shards"


@pytest.fixture
def web(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    running = Web(shards.parent)
    yield running
    running.server.shutdown()
    running.server.server_close()


def dropped(handler: http.server.SimpleHTTPRequestHandler, data: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 3])
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def truncated(handler: http.server.SimpleHTTPRequestHandler, data: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "512")
    handler.end_headers()
    handler.wfile.write(data[:512])
    return True


def page(handler: http.server.SimpleHTTPRequestHandler, data: bytes) -> bool:
    text = b"<html>Please log in</html>".ljust(len(data))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)
    return True


def altered(handler: http.server.SimpleHTTPRequestHandler, data: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[:-1] + b"!")
    return True


def refused(code: int) -> Answer:
    def answer(handler: http.server.SimpleHTTPRequestHandler, data: bytes) -> bool:
        handler.send_error(code)
        return True

    return answer


def test_shards_behind_a_url_equal_those_on_disk(web: Web, shards: Path, tmp_path: Path) -> None:
    far = open_images(web.url, "train", work_dir=tmp_path / "far")
    near = open_images(str(shards), "train", work_dir=tmp_path / "near")
    assert far.digest == near.digest and far.keys == near.keys
    assert all(np.array_equal(far[i], near[i]) for i in range(len(near)))


@pytest.mark.parametrize("failures", [1, 3])
def test_a_dropped_connection_is_taken_up_again(web: Web, tmp_path: Path, failures: int) -> None:
    web.spoil = [dropped] * failures
    assert open_images(web.url, "train", work_dir=tmp_path)[0].shape == (48, 48, 3)
    assert sum("bytes=" in request for request in web.requests) == failures


def test_a_busy_server_is_asked_again(web: Web, tmp_path: Path) -> None:
    web.spoil = [refused(503), refused(500)]
    assert open_images(web.url, "train", work_dir=tmp_path)[0].shape == (48, 48, 3)


@pytest.mark.parametrize(
    "spoil, message",
    [
        ([truncated] * 9, "it has 512 bytes instead of|it has 2560 bytes instead of"),
        ([page] * 9, "it is a web page, not a shard|its hash differs"),
        ([altered] * 9, "its hash differs from the manifest"),
        ([refused(403)], "HTTP 403"),
        ([refused(404)], "HTTP 404"),
        ([refused(500)] * 9, "cannot fetch .*HTTP 500"),
    ],
)
def test_a_wrong_answer_is_an_error_and_leaves_nothing(
    web: Web, tmp_path: Path, spoil: list[Answer], message: str
) -> None:
    web.spoil = list(spoil)
    with pytest.raises(UserError, match=message):
        open_images(web.url, "train", work_dir=tmp_path)[0]
    web.spoil = []
    assert open_images(web.url, "train", work_dir=tmp_path)[0].shape == (48, 48, 3)


def test_an_error_page_instead_of_the_manifest_is_named(web: Web, shards: Path, tmp_path: Path) -> None:
    (shards / "manifest.json").write_text("<html>Please log in</html>")
    with pytest.raises(UserError, match="is not a manifest of shards"):
        open_images(web.url, "train", work_dir=tmp_path)


def test_a_shard_is_fetched_once_for_any_number_of_readers(web: Web, tmp_path: Path) -> None:
    data = DataConfig(crop_px=16, batch_size=4, mode="streamed")
    for _ in range(3):
        images = open_images(web.url, "train", work_dir=tmp_path)
        list(islice(TrainLoader(images, data, 4, device="cpu").batches(), 8))
    assert sum(request.endswith(".tar") for request in web.requests) == 1


def test_the_next_shard_is_fetched_while_this_one_is_used(
    web: Web, photos: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle_buffer, "SHARDS_TOGETHER", 1)
    source = FolderSource(photos)
    parts = {"train": SplitSource(source, source.members())}
    pack(shards.with_name("many"), "many", parts, PackSettings(images_per_shard=4))
    images = ImageSet(web.url.replace("shards", "many"), "train", tmp_path)
    monkeypatch.setattr(shuffle_buffer, "BUFFER_IMAGES", 16)
    samples = shuffle_buffer.stream(images, 0, 0)
    next(samples)  # fills the buffer with four shards of the five
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and sum(r.endswith(".tar") for r in web.requests) < 5:
        pass
    assert sum(request.endswith(".tar") for request in web.requests) == 5
    samples.close()


@pytest.mark.parametrize("spec", ["pipe:cat x", "http://example.org/a", "ftp://h/a", "hf://d/a", "s3:/a"])
def test_other_schemes_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match="shards are read from folders, s3, gs, az, https"):
        is_url(spec)


@pytest.mark.parametrize("spec", ["demo", "/a/b", "a b", "./x:y"])
def test_paths_and_names_are_no_urls(spec: str) -> None:
    assert not is_url(spec)


@pytest.fixture(params=["s3", "gs", "az"])
def store(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


def test_from_photographs_to_batches_through_a_store(photos: Path, tmp_path: Path, store: str) -> None:
    here = prepare("folder", str(photos), str(tmp_path / "here"))
    there = prepare("folder", str(photos), f"{store}/set one/shards")
    assert here.to_json() == there.to_json()
    far = ImageSet(f"{store}/set one/shards", "train", tmp_path / "far")
    near = ImageSet(str(tmp_path / "here"), "train", tmp_path / "near")
    for mode in ("cached", "streamed"):
        data = DataConfig(crop_px=16, batch_size=4, mode=mode)
        pairs = zip(*(TrainLoader(s, data, 4, device="cpu").batches() for s in (far, near)), strict=False)
        assert all(torch.equal(a.hr, b.hr) for a, b in islice(pairs, 6))


def test_an_upload_that_failed_does_not_block_the_same_import_of_changed_photographs(
    photos: Path, tmp_path: Path, gs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(photos, source)
    with monkeypatch.context() as broken:
        broken.setattr(preparation, "upload", lambda *args: (_ for _ in ()).throw(UserError("no network")))
        with pytest.raises(UserError, match="no network"):
            prepare("folder", str(source), f"{gs}/later")
    (source / "00.png").unlink()
    there = prepare("folder", str(source), f"{gs}/later")
    assert sum(part.count for part in there.splits.values()) == 19


def test_a_missing_bucket_or_set_is_one_sentence(photos: Path, tmp_path: Path, store: str) -> None:
    with pytest.raises(UserError, match=f"there is no {store}/nothing/manifest.json"):
        open_images(f"{store}/nothing", "train", work_dir=tmp_path)
    prepare("folder", str(photos), f"{store}/taken")
    prepare("folder", str(photos), f"{store}/taken")
    with pytest.raises(UserError, match=f"{store}/taken already has other files"):
        prepare("folder", str(photos), f"{store}/taken", limit=9)
    with pytest.raises(UserError, match="cannot write .*://nowhere/x"):
        prepare("folder", str(photos), f"{store[:5]}nowhere/x")
