"""The provenance of a sweep: commit, patch, packages."""

import json
import subprocess

from orchestrator import provenance
from orchestrator.storage import Storage


def git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_a_clean_tree_is_its_commit_and_a_changed_one_its_patch_too(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    assert len(provenance.commit(tmp_path)) == 12 and provenance.diff(tmp_path) == ""
    (tmp_path / "a.py").write_text("x = 2\n")
    (tmp_path / "new.py").write_text("y = 1\n")
    assert provenance.commit(tmp_path).endswith("+")
    patch = provenance.diff(tmp_path)
    assert "-x = 1\n+x = 2\n" in patch and "# not in git: new.py\n" in patch
    assert provenance.commit(tmp_path.parent) == provenance.diff(tmp_path.parent) == ""


def test_the_files_of_a_submission_are_written_once_on_a_local_storage(tmp_path):
    folder = provenance.save_provenance(
        Storage(str(tmp_path)), "s", tmp_path / "s" / "submission", {"seed": 3}
    )
    assert sorted(p.name for p in folder.iterdir()) == [
        "changes.diff",
        "commit.txt",
        "facts.json",
        "packages.txt",
    ]
    assert json.loads((folder / "facts.json").read_text()) == {"seed": 3}
    assert "torch==" in (folder / "packages.txt").read_text()
