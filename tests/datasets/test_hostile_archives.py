"""Hostile archives, names, manifests and shards: a reason each, and nothing outside the folder is touched."""

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.hostile_images import BOMB, FRAMES, PNG, SMOOTH, WEBP, flipped, zipped

from datasets import codec
from datasets.codec import Rejected
from datasets.errors import UserError
from datasets.image_set import ImageSet
from datasets.manifest import MANIFEST, parse_manifest
from datasets.shard_reader import read_manifest, samples
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource, ZipSource, open_source
from datasets.validate import SplitSource


def link_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


LOCAL = zipped(("x.png", PNG), ("good.png", WEBP))

MEMBERS: dict[str, tuple[bytes, str]] = {
    "up": (zipped(("../x.png", PNG)), "points outside"),
    "far up": (zipped(("a/../../../etc/x.png", PNG)), "points outside"),
    "absolute": (zipped(("/etc/x.png", PNG)), "points outside"),
    "backslash up": (zipped(("..\\x.png", PNG)), "points outside"),
    "drive letter": (zipped(("C:\\x.png", PNG)), "points outside"),
    "link": (zipped((link_info("x.png"), b"/etc/passwd")), "symbolic link"),
    "bomb": (BOMB, "times its size"),
    "wrong crc": (flipped(LOCAL, LOCAL.index(PNG) + 60), "Bad CRC"),
    "unknown compression": (
        zipped(("x.png", PNG)).replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x00\x00\x63\x00"),
        "compression|cannot be read",
    ),
    "encrypted": (
        zipped(("x.png", PNG))
        .replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
        .replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
        "encrypted|cannot be read",
    ),
    "another local name": (
        zipped(("x.png", PNG)).replace(b"x.png", b"y.png", 1),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_a_hostile_zip_member_is_rejected_with_a_reason(tmp_path: Path, case: str) -> None:
    data, reason = MEMBERS[case]
    (tmp_path / "a.zip").write_bytes(data)
    source = ZipSource(tmp_path / "a.zip")
    (bad, *_) = [m for m in source.members() if "good" not in m.name]
    with pytest.raises(Rejected, match=reason):
        source.read(bad)


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a readable zip"),
    "html": (b"<html>Too many users have viewed this file", "it is a web page"),
    "cut": (LOCAL[: len(LOCAL) // 2], "is not a readable zip"),
    "tar": (bytes(10240), "is not a readable zip"),
    "no members": (zipped(), "has no photographs"),
    "text only": (zipped(("readme.txt", b"hi")), "has no photographs"),
    "mac litter only": (zipped(("__MACOSX/._x.png", PNG), (".hidden.png", PNG)), "has no photographs"),
    "directory of garbage": (LOCAL[:-22] + bytes(22), "is not a readable zip"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_file_that_is_no_archive_of_photographs_is_named(tmp_path: Path, case: str) -> None:
    data, reason = ARCHIVES[case]
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match=reason):
        open_source(tmp_path / "a.zip").members()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(("x.png", PNG), ("x.png", WEBP)))
    with pytest.raises(UserError, match="two members named 'x.png'"):
        ZipSource(tmp_path / "a.zip").members()


NAMES = [
    "a#b",
    "a?b",
    "a b",
    "ä漢字",
    "a.b.c",
    "-rf",
    "__x__",
    "a'b\"c",
    "a,b",
    "a\nb",
    "%41",
    "x" * 200,
    "{1..3}",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_becomes_a_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / f"{name}.png").write_bytes(PNG)
    source = FolderSource(tmp_path / "p")
    pack(tmp_path / "o", "t", {"all": SplitSource(source, source.members())}, PackSettings())
    images = ImageSet(str(tmp_path / "o"), "test", tmp_path / "c")
    assert len(images) == 1 and np.array_equal(images[0], SMOOTH)


def test_a_name_that_is_not_text_becomes_a_key(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / os.fsdecode(b"\xff\xfe.png")).write_bytes(PNG)
    (tmp_path / "p" / os.fsdecode(b"\xff\xff.png")).write_bytes(b"")
    source = FolderSource(tmp_path / "p")
    pack(tmp_path / "o", "t", {"all": SplitSource(source, source.members())}, PackSettings(max_rejected=0.9))
    assert "empty file" in (tmp_path / "o" / "rejected.csv").read_text()


def test_links_pipes_and_folders_named_like_images_are_passed_by(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "real.png").write_bytes(PNG)
    assert [m.name for m in FolderSource(tmp_path).members()] == ["real.png"]


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(codec.MAX_BYTES + 1)
    source = FolderSource(tmp_path)
    with pytest.raises(Rejected, match="bytes, more than"):
        source.read(source.members()[0])


GOOD = {
    "schema": 1, "name": "t", "source": {}, "transform": "none", "decoder": "d", "check": "c", "rejected": 0,
    "notes": {},
    "splits": {"all": {"count": 0, "index": {"file": "i.csv", "sha256": "", "bytes": 0}, "shards": []}},
}  # fmt: skip
SHARD = {"file": "../x.tar", "sha256": "", "bytes": 1, "count": 0, "first_key": "", "last_key": ""}


def changed(**values: object) -> str:
    return json.dumps({**GOOD, **values})


MANIFESTS: dict[str, tuple[str, str]] = {
    "empty": ("", "is not a manifest"),
    "html": ("<html>", "is not a manifest"),
    "list": ("[]", "is not a manifest"),
    "null": ("null", "is not a manifest"),
    "other schema": (changed(schema=99), "has schema 99, this version reads 1"),
    "no splits": (json.dumps({"schema": 1}), "is not a manifest"),
    "unknown field": (changed(surprise=1), "is not a manifest"),
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


TARS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda tar: b"",
    "zeros": lambda tar: bytes(10240),
    "html": lambda tar: b"<html>error</html>",
    "doubled": lambda tar: tar + tar,
    "first byte": lambda tar: flipped(tar, 0),
    "size field": lambda tar: flipped(tar, 128),
    "type field": lambda tar: tar[:156] + b"2" + tar[157:],
    "half": lambda tar: tar[: len(tar) // 2],
    "zip": lambda tar: LOCAL,
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
    with pytest.raises(UserError, match="all-00000.tar (gave|is damaged)"):
        list(samples(str(out), read_manifest(str(out)).splits["all"].shards))
    assert (out / MANIFEST).is_file()
