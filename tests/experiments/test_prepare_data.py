"""The import command: shards with counts, left-out images, and the catalogue."""

import pytest
from helpers.studies import pictures

from datasets.pixels import RGB8
from experiments import prepare_data


def test_an_import_prints_its_counts(tmp_path, monkeypatch, capsys):
    folder = pictures(tmp_path / "photos", 0, 12)
    (folder / "broken.png").write_bytes(b"not a picture")
    words = ["folder", "--source", str(folder), "--out", str(tmp_path / "out"), "--max-rejected", "0.5"]
    monkeypatch.setattr("sys.argv", ["prepare_data.py", *words, "--split", "whole"])
    prepare_data.main()
    said = " ".join(capsys.readouterr().out.split())
    assert "all: 12 images in 1 shards" in said and "1 left out; the reasons are in" in said
    assert (tmp_path / "out" / "rejected.csv").is_file()


def test_the_catalogue_lists_every_set(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["prepare_data.py", "--list"])
    prepare_data.main()
    said = capsys.readouterr().out
    assert all(name in said for name in prepare_data.CATALOGUE) and "splits" in said


@pytest.mark.parametrize(("published", "printed"), [(0, False), (12, False), (13, True)])
def test_another_number_than_the_published_one_is_printed(published, printed, monkeypatch, capsys):
    from types import SimpleNamespace

    monkeypatch.setitem(prepare_data.CATALOGUE, "t91", SimpleNamespace(images=published))
    entry = SimpleNamespace(count=12, shards=["a"])
    manifest = SimpleNamespace(splits={"all": entry}, rejected=0, pairs_scale=0, notes={}, pixels=RGB8)
    prepare_data.report(manifest, prepare_data.PrepareOptions(name="t91"))
    assert ("the published count is 13" in capsys.readouterr().out) == printed
