"""Manifests and indexes: old ones still load, wrong ones are refused."""

import dataclasses
import json

import pytest
from helpers import old_import

from datasets.errors import UserError
from datasets.manifest import parse_index, parse_manifest, write_index

NO_HASH = "0" * 64
INDEX = {"file": "i.csv", "sha256": NO_HASH, "bytes": 0}
GOOD = {
    "schema": 1, "name": "t", "source": {}, "transform": "none", "decoder": "d", "check": "c", "rejected": 0,
    "notes": {},
    "splits": {"all": {"count": 0, "index": INDEX, "shards": []}},
}  # fmt: skip


SHARD = {"file": "../x.tar", "sha256": NO_HASH, "bytes": 1, "count": 0, "first_key": "", "last_key": ""}


def changed(**values: object) -> str:
    return json.dumps({**GOOD, **values})


MANIFESTS: dict[str, tuple[str, str]] = {
    "empty": ("", "is not a manifest"),
    "html": ("<html>", "is not a manifest"),
    "list": ("[]", "is not a manifest"),
    "null": ("null", "is not a manifest"),
    "other schema": (changed(schema=99), "has schema 99, this version reads 1"),
    "no splits": (json.dumps({"schema": 1}), "is not a manifest"),
    "unknown field": (changed(surprise=1), "'surprise' is not known"),
    "a text for a number": (changed(rejected="2"), "rejected is '2'"),
    "a path in place of a hash": (
        changed(splits={"all": {"count": 0, "shards": [], "index": {**INDEX, "sha256": "../" * 8}}}),
        "no SHA-256",
    ),
    "an index beyond any size": (
        changed(splits={"all": {"count": 0, "shards": [], "index": {**INDEX, "bytes": 1 << 50}}}),
        "bytes",
    ),
    "outside": (
        changed(splits={"all": {**GOOD["splits"]["all"], "shards": [SHARD]}}),  # type: ignore[index]
        "a file outside the folder",
    ),
    "counts": (
        changed(splits={"all": {**GOOD["splits"]["all"], "count": 5}}),  # type: ignore[index]
        "do not add up",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_is_none_is_refused(case: str) -> None:
    text, reason = MANIFESTS[case]
    with pytest.raises(UserError, match=reason):
        parse_manifest(text, "x/manifest.json")


def test_an_old_manifest_and_its_index_still_load() -> None:
    manifest = parse_manifest(old_import.MANIFEST, "m")
    assert manifest.to_json() == old_import.MANIFEST
    assert manifest.split_for("test") == "all" and manifest.digest("test") == "ff89f4eb7cc7291c"
    rows = parse_index(old_import.INDEX.encode(), manifest.splits["all"], "i")
    assert [(row.key, row.width, row.height, row.mode) for row in rows] == [
        ("0", 4, 4, "RGB"),
        ("1", 4, 4, "RGB"),
    ]
    assert write_index(rows).decode() == old_import.INDEX


def test_an_index_of_another_length_is_refused() -> None:
    split = parse_manifest(old_import.MANIFEST, "m").splits["all"]
    longer = dataclasses.replace(split, count=3)
    with pytest.raises(UserError, match="i lists 2 images, the manifest counts 3"):
        parse_index(old_import.INDEX.encode(), longer, "i")
    with pytest.raises(UserError, match="i is not the file that the manifest describes; import it again"):
        parse_index(old_import.INDEX.encode() + b"\n", split, "i")


def test_a_role_that_a_set_lacks_is_named() -> None:
    text = old_import.MANIFEST.replace('"all": {', '"train": {')
    with pytest.raises(UserError, match=r"no split of t called 'gate'; known: train \(set data.gate\)"):
        parse_manifest(text, "m").split_for("gate")
