"""Published weight files: folders searched, hashes checked, downloads that fail."""

import hashlib

import pytest
import torch

from datasets.errors import UserError
from trainers.metrics import weights

NAME = "dists.pt"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder that holds weights, with one file whose hash is in the table."""
    own = tmp_path / "own"
    own.mkdir()
    (own / NAME).write_bytes(b"weights")
    monkeypatch.setenv(weights.VARIABLE, str(own))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setitem(weights.FILES, NAME, ("https://example.org/weights.pt", digest))
    return own


def test_the_named_folder_is_searched_before_torchs_cache(folder, tmp_path):
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    assert weights.folders() == [folder, cache]
    assert weights.find(NAME) == folder / NAME
    (folder / NAME).unlink()
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"weights")
    assert weights.find(NAME) == cache / NAME and weights.missing((NAME, "other")) == ["other"]


def test_a_missing_file_is_an_error_that_names_address_and_variable(folder):
    (folder / NAME).unlink()
    with pytest.raises(
        UserError, match=f"fetch https://example.org/weights.pt as {NAME} and set UPSWEEP_WEI"
    ):
        weights.find(NAME)


def test_a_file_that_changes_after_its_check_is_checked_again(folder):
    assert weights.find(NAME)
    (folder / NAME).write_bytes(b"other")
    with pytest.raises(UserError, match="is damaged: its SHA-256 does not begin with"):
        weights.find(NAME)


def test_a_download_goes_to_the_named_folder_and_a_failure_says_what_to_do(folder, monkeypatch):
    calls = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *args, **more: calls.append((args, more)))
    assert weights.fetch(NAME) == folder / NAME
    (address, target), more = calls[0]
    assert (address, target) == ("https://example.org/weights.pt", str(folder / NAME))
    assert more == {"hash_prefix": hashlib.sha256(b"weights").hexdigest()}

    def fails(*args, **more):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.raises(
        UserError, match=r"could not be fetched \(no network\); copy it to .*dists.pt by hand"
    ):
        weights.fetch(NAME)
