"""Checks before a command is sent to a cluster: data, storage, space files."""

import shlex

import pytest
from helpers.own_code import CODE, write

from datasets.errors import UserError
from orchestrator.cluster import submission_checks
from orchestrator.search import space_file


def test_images_of_this_machine_are_refused_with_the_command_that_uploads_them(tmp_path):
    (tmp_path / "photos").mkdir()
    folder = str(tmp_path / "photos")
    with pytest.raises(
        UserError, match=r"--source \S+photos --out s3://b/data/photos and pass --train s3://b/"
    ):
        submission_checks.check_data({"train": folder}, lambda path: False, "s3://b/upsweep")
    with pytest.raises(UserError) as error:
        submission_checks.check_data({"train": "./my photos; $(x)"}, lambda path: False, "s3://b/upsweep")
    words = shlex.split(str(error.value).partition("upload it with ")[2])
    assert words[:5] == ["upsweep", "prepare", "folder", "--source", "./my photos; $(x)"]
    submission_checks.check_data(
        {"train": folder}, lambda path: True, "s3://b/upsweep"
    )  # a folder that all share
    submission_checks.check_data(
        {"train": "s3://b/x", "val": "demo", "test": ""}, lambda path: False, "s3://b/upsweep"
    )


def test_a_space_file_is_sent_from_any_folder_and_the_command_names_the_copy(tmp_path):
    (tmp_path / "mine.yaml").write_text("axes:\n  generator.num_blocks: [2, 4]\n")
    code = "from orchestrator.search.space import Choice, Space\n"
    code += "Mine = Space('mine', {'loss.tv_weight': Choice((0.0,))})\n"
    (tmp_path / "mine.py").write_text(code)
    for spec, copy in (("mine.yaml", "submitted/mine.yaml"), ("mine.py:Mine", "submitted/mine.py:Mine")):
        spec = f"{tmp_path}/{spec}"
        for given, sent in (
            (["--space", spec], ["--space", copy]),
            ([f"--space={spec}"], [f"--space={copy}"]),
        ):
            words, files = submission_checks.own_files(["--trials", "3", *given], spec)
            assert words == ["--trials", "3", *sent]
            ((name, content),) = files.items()
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / name).write_bytes(content)
            assert space_file.read(f"{tmp_path}/copy/{copy}").space().axes
    assert submission_checks.own_files(["--space", "full"], "full") == (["--space", "full"], {})
    assert submission_checks.own_files([], "") == ([], {})


def test_own_code_is_sent_and_both_the_command_and_the_space_find_the_copies(tmp_path):
    write(tmp_path)
    (tmp_path / "nets").mkdir()
    write(tmp_path / "nets", name="net.py")
    space = tmp_path / "a.yaml"
    space.write_text("axes: {generator.kind: [srresnet, 'nets/net.py:Net']}\n")
    given = [
        "--loss.extra",
        f"{tmp_path}/mine.py:edge_loss",
        f"--objective.perceptual={tmp_path}/mine.py:score",
    ]
    words, files = submission_checks.own_files(["--space", str(space), *given], str(space))
    sent = ["--loss.extra", "submitted/mine.py:edge_loss", "--objective.perceptual=submitted/mine.py:score"]
    assert words == ["--space", "submitted/a.yaml", *sent]
    assert set(files) == {"submitted/a.yaml", "submitted/mine.py", "submitted/nets/net.py"}
    space.write_text(f"axes: {{generator.kind: ['{tmp_path}/mine.py:Net']}}\n")
    with pytest.raises(UserError, match="must be in the space file's folder or below it"):
        submission_checks.own_files([], str(space))
    write(tmp_path / "nets", CODE + "# another", "mine.py")
    with pytest.raises(UserError, match="two different files are called mine.py; rename one of them"):
        submission_checks.own_files([f"{tmp_path}/mine.py:a", f"{tmp_path}/nets/mine.py:b"], "")


def test_a_weight_file_is_sent_and_the_command_names_the_copy(tmp_path):
    file = tmp_path / "x4.pth"
    file.write_bytes(b"\xff\x00")
    for given, sent in (
        (["--start", str(file)], ["--start", "submitted/x4.pth"]),
        ([f"--start={file}"], ["--start=submitted/x4.pth"]),
    ):
        assert submission_checks.own_files(given, "") == (sent, {"submitted/x4.pth": b"\xff\x00"})
    named = ["--start", "span_x4", "--name", str(file)]
    assert submission_checks.own_files(named, "") == (named, {})


def test_a_wrong_space_file_is_refused_before_it_is_sent(tmp_path):
    with pytest.raises(UserError, match="--space gone.yaml: gone.yaml cannot be read"):
        submission_checks.own_files(["--space", "gone.yaml"], "gone.yaml")
    (tmp_path / "mine.yaml").write_text("axes: 3\n")
    with pytest.raises(UserError, match="a space needs 'axes'"):
        submission_checks.own_files([], f"{tmp_path}/mine.yaml")


def test_the_storage_of_a_remote_command():
    assert submission_checks.check_storage("./runs", "s3://b/upsweep") == "s3://b/upsweep"
    assert submission_checks.check_storage("s3://c", "s3://b/upsweep") == "s3://c"
    for of_cluster in ("", "s3://CHANGE-ME/upsweep"):
        with pytest.raises(UserError, match="the cluster has no storage: pass --storage"):
            submission_checks.check_storage("./runs", of_cluster)
    with pytest.raises(UserError, match="--storage elsewhere is a folder of this machine"):
        submission_checks.check_storage("elsewhere", "s3://b/upsweep")
