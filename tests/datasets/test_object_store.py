"""Object stores: the address and the limits come from the environment, and a small file is one request."""

import pickle
import re
import time
from pathlib import Path

import pytest
from pyarrow import fs

from datasets import object_store
from datasets.errors import UserError
from datasets.image_set import open_images
from datasets.object_store import file_system, reason


def test_the_path_is_bucket_and_key_as_written() -> None:
    system, path = file_system("gs://photos/set one/a%20b")
    assert path == "photos/set one/a%20b" and isinstance(system, fs.GcsFileSystem)


def test_a_store_is_opened_once_for_equal_settings(gs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = file_system(gs)[0]
    assert file_system(f"{gs}/x")[0] is first
    monkeypatch.setattr(object_store, "GCS_RETRY_S", 5.0)
    assert file_system(gs)[0] is not first


def test_other_schemes_are_left_to_pyarrow(tmp_path: Path) -> None:
    system, path = file_system(f"file://{tmp_path}")
    assert isinstance(system, fs.LocalFileSystem) and path == str(tmp_path)
    with pytest.raises(ValueError, match="nonsense"):
        file_system("nonsense://bucket")


def test_azure_s_store_needs_the_name_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="the storage account in AZURE_STORAGE_ACCOUNT"):
        file_system("az://photos/set")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "mine")
    system, path = file_system("az://photos/set one")
    assert path == "photos/set one" and isinstance(system, fs.AzureFileSystem)
    monkeypatch.setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
    pickled = pickle.dumps(file_system("az://photos/set one")[0])
    assert b"c2VjcmV0" not in pickled, "Tune pickles the file system of its storage into that storage"
    assert isinstance(pickle.loads(pickled), fs.AzureFileSystem)


def test_a_small_file_on_s3_takes_one_request_each_way(s3: str, tmp_path: Path) -> None:
    system, path = file_system(f"{s3}/runs/a b")
    with system.open_output_stream(path) as file:
        file.write(b"abc")
    with system.open_input_stream(path) as file:
        assert file.read() == b"abc"
    requests = re.findall(r'"(?:\x1b\S*m)?([A-Z]+) /photos[/?]', (tmp_path / "s3.log").read_text())
    assert requests == ["PUT", "HEAD", "GET"]


def test_shards_on_an_unreachable_google_store_are_one_sentence(unreachable_gs: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"cannot fetch gs://photos/set/manifest.json: .*[Cc]onnect") as error:
        open_images(f"{unreachable_gs}/set", "train", work_dir=tmp_path)
    assert "\n" not in str(error.value) and time.monotonic() - begun < 30


def test_a_reason_is_one_line_without_the_clients_details() -> None:
    assert reason(OSError("not reached error_info={reason=, domain=}\nat line 3")) == "not reached"
    assert reason(OSError()) == "OSError"
