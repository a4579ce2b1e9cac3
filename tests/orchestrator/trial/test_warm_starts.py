"""Published warm starts: whole or not there, and never mixed from two sweeps."""

import json

import pytest
from pyarrow import fs

from orchestrator.storage import Storage
from orchestrator.trial import warm_starts


def test_a_warm_start_is_ready_only_when_its_marker_is_there(tmp_path):
    storage = Storage(str(tmp_path / "runs"))
    made = tmp_path / "made"
    made.mkdir()
    (made / "generator_ema.safetensors").write_bytes(b"weights")
    (made / "manifest.json").write_text("{}")
    storage.publish(made, "warm/k1/checkpoint-1")
    assert not warm_starts.ready(storage, "k1"), "a copy that was cut short is no warm start"
    warm_starts.publish(storage, "k1", made, {"psnr_y": 30.0})
    assert warm_starts.ready(storage, "k1")
    name = warm_starts.published(storage, "k1")
    assert storage.read_text(f"{name}/generator_ema.safetensors") == "weights"
    assert json.loads(storage.read_text("warm/k1/done.json"))["metrics"] == {"psnr_y": 30.0}


def test_two_sweeps_that_publish_one_warm_start_at_once_never_mix_their_files(tmp_path, monkeypatch):
    """The faster one publishes and is read after the slower one has copied its first file."""
    storage = Storage(str(tmp_path / "runs"))
    made = {who: tmp_path / who for who in ("fast", "slow")}
    for who, folder in made.items():
        folder.mkdir()
        for name in ("extra.json", "generator_ema.safetensors", "manifest.json"):
            (folder / name).write_text(who)
    copy, seen = fs.copy_files, []

    def interleaved(*words, **options):
        copy(*words, **options)
        monkeypatch.setattr(fs, "copy_files", copy)
        warm_starts.publish(storage, "k1", made["fast"], {})
        seen.append(whose())

    def whose():
        name = warm_starts.published(storage, "k1")
        return {storage.read_text(f"{name}/{f}") for f in storage.listing(name)}

    monkeypatch.setattr(fs, "copy_files", interleaved)
    warm_starts.publish(storage, "k1", made["slow"], {})
    assert seen == [{"fast"}]
    assert whose() in ({"fast"}, {"slow"})
    before = sorted(storage.listing("warm/k1"))
    warm_starts.publish(storage, "k1", tmp_path / "a third that is not even looked at", {})
    assert sorted(storage.listing("warm/k1")) == before


def test_a_warm_start_of_an_earlier_version_is_found(tmp_path):
    storage = Storage(str(tmp_path))
    storage.write_text("warm/k1/done.json", json.dumps({"metrics": {}}))
    assert warm_starts.published(storage, "k1") == "warm/k1/checkpoint"


def test_a_warm_start_that_is_not_ready_has_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError):
        warm_starts.published(Storage(str(tmp_path)), "k1")
