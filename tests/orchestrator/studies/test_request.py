"""Requests that no study can carry out."""

import pytest
from helpers.studies import request

from datasets.errors import UserError
from orchestrator.studies.request import StudyRequest


def test_a_storage_that_not_every_machine_sees_is_refused():
    with pytest.raises(UserError, match="must be a folder that every machine sees, but got s3://bucket/runs"):
        StudyRequest(storage="s3://bucket/runs")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "--name may hold letters, digits and ._- only, but got 'a/b'"),
        ({"seeds": 0}, "--seeds must be at least 1, but got 0"),
    ],
)
def test_impossible_options_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        request(tmp_path, "dataset_matrix", "miniature_matrix", [], **changes)


def test_folder_and_split_follow_name_and_size(tmp_path):
    asked = request(tmp_path, "dataset_matrix", "miniature_matrix", [], name="mine", miniature=False)
    assert asked.folder == tmp_path / "runs" / "studies" / "mine" and asked.split == "matrix"
    assert asked.uri.startswith("sqlite:///")
