"""A file or folder appears complete or not at all, and a lock is free when its holder is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

from datasets import files
from datasets.errors import UserError
from datasets.files import (
    Held,
    atomic_file,
    atomic_folder,
    atomic_json,
    atomic_write,
    first_missing,
    is_trusted,
    is_web_page,
    locked,
    own_folder,
    read_json,
    remove_leftovers,
    usable_cpus,
    user_path,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def synced(monkeypatch):
    """The names of the files and folders that were brought to the disk."""
    paths: list[str] = []
    monkeypatch.setattr(files.os, "fsync", lambda fd: paths.append(os.readlink(f"/proc/self/fd/{fd}")))
    return paths


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    atomic_write(tmp_path / "a", b"one")
    atomic_write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_file_is_synced_before_it_takes_its_name(tmp_path, synced, durable):
    atomic_write(tmp_path / "a", b"one", durable=durable)
    parts = [Path(path).name for path in synced]
    assert len(parts) == 2 * durable
    if durable:
        assert parts[0].startswith(".a.") and parts[0].endswith(".tmp") and parts[1] == tmp_path.name


def test_a_file_whose_writer_fails_keeps_the_old_content(tmp_path):
    atomic_write(tmp_path / "a", b"one")
    with pytest.raises(OSError, match="disk full"), atomic_file(tmp_path / "a") as temporary:
        temporary.write_bytes(b"tw")
        raise OSError("disk full")
    assert (tmp_path / "a").read_bytes() == b"one" and names(tmp_path) == ["a"]


def test_json_is_compact_or_pretty(tmp_path):
    atomic_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert (tmp_path / "a.json").read_text() == '{"b": 1, "a": [2]}'
    atomic_json(tmp_path / "a.json", {"b": 1, "a": 2}, pretty=True)
    assert (tmp_path / "a.json").read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": 2, "b": 1} and read_json(tmp_path / "none.json") == {}
    with pytest.raises(TypeError):
        atomic_json(tmp_path / "a.json", object())
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 2, "b": 1}


def test_a_folder_takes_its_name_only_when_the_block_has_ended(tmp_path):
    with atomic_folder(tmp_path / "deep" / "x") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "deep" / "x").exists() and temporary.parent == tmp_path / "deep"
    assert names(tmp_path / "deep") == ["x"] and (tmp_path / "deep/x/a").read_text() == "a"


def test_a_folder_replaces_an_old_one_whole(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    with atomic_folder(tmp_path / "x") as temporary:
        (temporary / "new").write_text("new")
    assert names(tmp_path) == ["x"] and names(tmp_path / "x") == ["new"]


def test_a_folder_whose_writer_fails_disappears_and_the_old_one_stays(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "x") as temporary:
        (temporary / "new").write_text("new")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["x"] and names(tmp_path / "x") == ["old"]


def test_every_file_of_a_durable_folder_is_synced_before_the_rename(tmp_path, synced):
    with atomic_folder(tmp_path / "x") as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("a")
    own = str(temporary)
    assert sorted(synced[:3]) == [own, f"{own}/sub", f"{own}/sub/a"] and synced[3:] == [str(tmp_path)]
    synced.clear()
    with atomic_folder(tmp_path / "x", durable=False) as temporary:
        (temporary / "a").write_text("a")
    assert synced == []


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    for name in (".a.0123abcd.tmp", ".a.b.0123abcd.tmp", "a", "b.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / ".a.4567cdef.tmp").mkdir()
    (tmp_path / ".a.4567cdef.tmp" / "part").write_text("")
    remove_leftovers(tmp_path / "a")
    assert names(tmp_path) == [".a.b.0123abcd.tmp", "a", "b.tmp"]


HOLDER = """
import sys
from pathlib import Path
from datasets.files import locked
with locked(Path(sys.argv[1]), holder=sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("holder", ["sweep 'faces'", ""])
def test_a_held_lock_names_its_holder_and_is_free_after_a_kill(tmp_path, holder):
    path = tmp_path / "new" / "lock"
    command = [sys.executable, "-c", HOLDER, str(path), holder]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout and child.stdout.readline() == "held\n"
        with (
            pytest.raises(Held, match=f"lock is locked by {holder or 'another process'}") as caught,
            locked(path, blocking=False, holder="me"),
        ):
            pass
        assert caught.value.holder == holder == path.read_text()
        child.kill()
    with locked(path, blocking=False, holder="me"):
        assert path.read_text() == "me", "the next holder's name replaces the one of the dead process"
    with locked(path):
        assert path.read_text() == "", "a holder without a name is not taken for the one before"


def test_a_web_page_is_recognised():
    assert is_web_page(b"\n <!DOCTYPE html>") and is_web_page(b"<HTML>") and not is_web_page(b"PK <html>")


def test_first_missing(tmp_path):
    assert first_missing(tmp_path / "a" / "b") == tmp_path / "a"
    assert first_missing(tmp_path) is None


def test_usable_cpus_are_those_of_the_affinity_mask(monkeypatch):
    monkeypatch.setattr(files.os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert usable_cpus() == 3


def test_a_folder_of_ones_own_in_a_shared_one_is_closed_to_others(tmp_path):
    folder = own_folder(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700 and own_folder(tmp_path) == folder
    folder.chmod(0o755)
    assert own_folder(tmp_path).stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match="belongs to another user: remove it, or set TMPDIR"):
        own_folder(tmp_path)


def test_a_file_is_trusted_if_only_we_or_root_can_have_written_it(tmp_path):
    path = tmp_path / "note"
    assert not is_trusted(path)
    path.write_text("")
    assert is_trusted(path)
    path.chmod(0o646)
    assert not is_trusted(path)
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert not is_trusted(tmp_path / "link")


def test_a_lock_is_not_opened_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError), locked(tmp_path / "lock"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_kill_while_a_folder_is_replaced_leaves_one_of_the_two_whole(tmp_path, monkeypatch):
    """Deleting the old folder takes long; it happens after the new one has its name."""
    with atomic_folder(tmp_path / "x") as temporary:
        (temporary / "a").write_text("old")
    whole = []

    def note(folder, **_):
        whole.append((tmp_path / "x" / "a").read_text())

    monkeypatch.setattr(files.shutil, "rmtree", note)
    with atomic_folder(tmp_path / "x") as temporary:
        (temporary / "a").write_text("new")
    assert whole and set(whole) == {"new"}


def test_a_file_of_another_user_is_not_trusted(tmp_path, monkeypatch):
    """Whoever finds it in /tmp would follow what a stranger wrote."""
    path = tmp_path / "ray_current_cluster"
    path.write_text("127.0.0.1:6379")
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        monkeypatch.setattr(files.os, "getuid", lambda: 65534)
    assert not is_trusted(path)


def test_the_home_of_no_user_is_a_name_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
