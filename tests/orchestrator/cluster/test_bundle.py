"""The copy of the working tree: its files, its note of commit and changes, its size."""

import subprocess

import pytest

from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.cluster import bundle


@pytest.fixture
def checkout(tmp_path):
    """A small repository with an ignored file, a change and a new file."""
    root = tmp_path / "tree"
    (root / "tests").mkdir(parents=True)
    for name, text in {".gitignore": "runs/\n", "a.py": "1\n", "tests/t.py": "2\n"}.items():
        (root / name).write_text(text)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    (root / "a.py").write_text("3\n")
    (root / "space.py").write_text("4\n")
    (root / "runs").mkdir()
    (root / "runs" / "heavy").write_text("5\n")
    return root


def names_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_copy_is_the_working_tree_with_a_note_of_commit_and_changes(checkout):
    with bundle.working_tree_bundle(checkout) as folder:
        assert names_in(folder) == [provenance.PROVENANCE_FILE, "a.py", "space.py"]
        assert (folder / "a.py").read_text() == "3\n"
        commit, diff = provenance.commit(folder), provenance.diff(folder)
        assert commit == provenance.commit(checkout) and commit[-1] == "+"
        assert "+3" in diff and "# not in git: space.py" in diff
    assert not folder.exists()


def test_extra_files_are_in_the_copy_and_not_in_its_changes(checkout):
    with bundle.working_tree_bundle(
        checkout, {"submitted/mine.py": b"6\n", "submitted/x.pth": b"\xff"}
    ) as folder:
        assert (folder / "submitted" / "mine.py").read_text() == "6\n"
        assert (folder / "submitted" / "x.pth").read_bytes() == b"\xff"
        assert "submitted" not in provenance.diff(folder)


def test_outside_a_checkout_the_copy_holds_the_packages(tmp_path):
    for name in ("datasets/a.py", "trainers/__pycache__/b.pyc", "experiments/c.yaml", "notes/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    with bundle.working_tree_bundle(tmp_path) as folder:
        assert names_in(folder) == [provenance.PROVENANCE_FILE, "datasets/a.py", "experiments/c.yaml"]


def test_a_tree_with_data_in_it_is_refused_with_the_largest_file(checkout, monkeypatch):
    monkeypatch.setattr(bundle, "LIMIT_BYTES", 1000)
    (checkout / "photos.zip").write_bytes(bytes(2000))
    with pytest.raises(UserError, match=r"too large .*the largest file is photos.zip: add it to .gitignore"):
        with bundle.working_tree_bundle(checkout):
            pass


def test_files_that_are_larger_than_ray_takes_are_refused(checkout, monkeypatch):
    monkeypatch.setattr(bundle, "EXTRA_LIMIT_BYTES", 1000)
    with pytest.raises(UserError, match="give weights by https"):
        with bundle.working_tree_bundle(checkout, {"submitted/x.pth": bytes(2000)}):
            pass
