"""Files of a sweep on a folder and on an object store: whole or not there, and nothing left behind."""

import re
import sys
import time
from types import SimpleNamespace

import pytest
from fsspec.implementations.local import LocalFileSystem
from pyarrow import fs

from datasets.errors import UserError
from orchestrator.storage import Storage


def remote(tmp_path):
    """A storage that goes through pyarrow as an object store does, without one."""
    (tmp_path / "bucket").mkdir(parents=True)
    storage = Storage(str(tmp_path))
    storage.is_local, storage.root, storage.base = False, "mock://bucket", str(tmp_path / "bucket")
    storage.files = fs.PyFileSystem(fs.FSSpecHandler(LocalFileSystem(auto_mkdir=True)))  # no folders needed
    storage.create = lambda name, content: storage.write_bytes(name, content) or True
    return storage


@pytest.fixture(params=["local", "remote", "gs", "az"])
def storage(request, tmp_path):
    if request.param in ("gs", "az"):
        return Storage(f"{request.getfixturevalue(request.param)}/runs")
    return Storage(str(tmp_path / "runs")) if request.param == "local" else remote(tmp_path / "far")


def folder(tmp_path, **files):
    made = tmp_path / "made"
    made.mkdir()
    for name, text in {"manifest.json": "{}", "a.bin": "aaaa"}.items() | files.items():
        (made / name).write_text(text)
    return made


def test_text_comes_back_and_a_second_one_replaces_it(storage):
    assert not storage.exists("s/sweep.json")
    storage.write_text("s/sweep.json", "one")
    storage.write_text("s/sweep.json", "two")
    assert storage.exists("s/sweep.json") and storage.exists("s")
    assert storage.read_text("s/sweep.json") == "two"
    assert storage.listing("s") == ["sweep.json"] and storage.listing("nowhere") == []
    with pytest.raises(FileNotFoundError):
        storage.read_text("s/other.json")


def test_a_folder_goes_out_and_comes_back(storage, tmp_path):
    assert storage.publish(folder(tmp_path), "s/trials/t/best") == storage.url("s/trials/t/best")
    back = storage.fetch("s/trials/t/best", tmp_path / "scratch")
    assert {p.name: p.read_text() for p in back.iterdir()} == {"manifest.json": "{}", "a.bin": "aaaa"}
    storage.remove("s/trials/t/best")
    assert not storage.exists("s/trials/t/best/manifest.json")
    storage.remove("s/trials/t/best")


def test_the_manifest_is_published_last(storage, tmp_path, monkeypatch):
    order = []
    copy = fs.copy_files

    def watched(source, target, **more):
        order.append(target.rpartition("/")[2])
        copy(source, target, **more)

    monkeypatch.setattr(fs, "copy_files", watched)
    storage.publish(folder(tmp_path, z="z"), "s/x")
    assert order == ["a.bin", "z", "manifest.json"]


def test_what_is_published_whole_is_left_alone(storage, tmp_path):
    made = folder(tmp_path)
    storage.publish(made, "warm/k/checkpoint")
    (made / "a.bin").write_text("other")
    storage.publish(made, "warm/k/checkpoint")
    assert storage.read_text("warm/k/checkpoint/a.bin") == "aaaa", "two sweeps may train one warm start"


def test_a_file_takes_one_request(tmp_path, s3):
    """What an object store is asked for costs time and money: three times that with multipart uploads."""
    storage, log = Storage(f"{s3}/runs"), tmp_path / "s3.log"

    def asked():
        return re.findall(r'"(?:\x1b\S*m)?([A-Z]+) /photos[/?]', log.read_text())

    storage.write_text("s/sweep.json", "{}")
    assert asked() == ["PUT"]
    storage.publish(folder(tmp_path), "s/trials/t/best")
    assert sorted(asked()[1:]) == ["GET", "HEAD", "PUT", "PUT"]  # is its manifest there, or a folder so named
    assert storage.read_text("s/trials/t/best/a.bin") == "aaaa"
    large = b"0123456789" * 2**21
    storage.write_bytes("s/large", large)
    assert storage.read_bytes("s/large") == large


def test_a_fetch_that_was_cut_short_is_made_again(tmp_path):
    storage = remote(tmp_path / "far")
    storage.publish(folder(tmp_path), "s/x")
    half = tmp_path / "scratch" / "s" / "x"
    half.mkdir(parents=True)
    (half / "a.bin").write_text("a")
    assert (storage.fetch("s/x", tmp_path / "scratch") / "a.bin").read_text() == "aaaa"
    assert [p.name for p in half.parent.iterdir()] == ["x"], "no half copies beside it"


def test_a_local_fetch_is_the_folder_itself(tmp_path):
    storage = Storage(str(tmp_path))
    assert storage.fetch("s/x", tmp_path / "scratch") == tmp_path / "s" / "x"
    assert storage.staging_dir("s/x", tmp_path / "scratch") == tmp_path / "s" / "x"


def test_the_probe_leaves_nothing(storage, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    storage.check_writable()
    assert sorted(tmp_path.rglob("*")) == before


def test_azure_without_its_client_is_one_sentence_before_anything_is_written(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "mine")
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)
    with pytest.raises(UserError, match=r"az://photos/runs cannot be written: .*pip install azure-storage"):
        Storage("az://photos/runs").check_writable()


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_file_in_the_way_is_one_sentence(tmp_path, below):
    (tmp_path / "file").write_text("precious")
    storage = Storage(str(tmp_path / "file" / below))
    assert not storage.exists("s/sweep.json")
    with pytest.raises(UserError, match=r"--storage .*/file.* cannot be written: .*"):
        storage.check_writable()
    assert (tmp_path / "file").read_text() == "precious"


def test_an_address_that_no_store_has_is_one_sentence():
    for address in ("nonsense://bucket", "file:///tmp/x", "s3://", "gs:///x"):
        with pytest.raises(UserError, match="--storage must be a folder or s3://, gs:// or az://BUCKET/PATH"):
            Storage(address)
    with pytest.raises(UserError, match="--storage s3://a b cannot be opened"):
        Storage("s3://a b")


def test_an_unreachable_google_store_is_one_sentence_within_its_limit(unreachable_gs):
    begun = time.monotonic()
    with pytest.raises(
        UserError, match=r"--storage gs://photos/runs cannot be written: .*[Cc]onnect"
    ) as error:
        Storage(f"{unreachable_gs}/runs").check_writable()
    assert "\n" not in str(error.value) and "error_info" not in str(error.value)
    assert time.monotonic() - begun < 30, "pyarrow by itself tries for a quarter of an hour"


def test_a_folder_that_appears_while_it_is_listed_is_listed(tmp_path, monkeypatch):
    """pyarrow lists, finds nothing, looks whether the folder exists, and by then it does."""
    storage, answers = Storage(str(tmp_path)), [FileNotFoundError("Cannot list directory"), []]

    def get_file_info(selector):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(storage, "files", SimpleNamespace(get_file_info=get_file_info))
    assert storage.listing("s/claims") == [] and not answers


def test_the_names_of_the_root_are_its_folders(storage):
    assert storage.names() == []
    storage.write_text("b/sweep.json", "{}")
    storage.write_text("a/deep/x", "x")
    assert storage.names() == ["a", "b"] and storage.listing("a") == ["deep"]
    storage.remove_file("b/sweep.json")
    assert not storage.exists("b/sweep.json")
    assert storage.name_of(storage.url("a/deep")) == "a/deep"
