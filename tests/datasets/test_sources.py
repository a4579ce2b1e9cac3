"""Hostile archives, names, manifests and shards: a reason each, and nothing outside the folder is touched."""

import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.archives import png
from helpers.hostile_images import BOMB, PNG, SMOOTH, WEBP, flipped, zipped

from datasets import codec
from datasets.errors import Rejected, UserError
from datasets.image_set import ImageSet
from datasets.shard_writer import PackSettings, pack
from datasets.sources import FolderSource, ZipSource, keys_for, open_source
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


@pytest.mark.parametrize(("name", "hint"), [("a.zip", "download it again"), ("a.png", "name the folder")])
def test_a_file_that_is_no_zip_has_a_remedy_that_fits(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(PNG)
    with pytest.raises(UserError, match=rf"is not a readable zip .*{hint}"):
        open_source(tmp_path / name)


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


def test_keys_have_no_dots_and_stay_apart() -> None:
    keys = [m.key for m in keys_for(["a.b/c.v1.jpg", "a_b/c_v1.jpg", "__x__/y.png", "#?.png", "é b.png"])]
    assert len(set(keys)) == 5
    assert all(k and "." not in k and "/" not in k and not k.startswith("_") for k in keys)


def test_members_that_point_outside_a_zip_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../up.png", png(1))
        archive.writestr("fine.png", png(2))
    source = ZipSource(path)
    pack(tmp_path / "o", "t", {"all": SplitSource(source, source.members())}, PackSettings(max_rejected=0.9))
    assert "its name points outside the archive" in (tmp_path / "o" / "rejected.csv").read_text()


def test_a_web_page_in_place_of_a_zip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "img_align_celeba.zip"
    path.write_text("<!DOCTYPE html><title>Quota exceeded</title>")
    with pytest.raises(UserError, match="it is a web page: the server refused the download"):
        ZipSource(path)
