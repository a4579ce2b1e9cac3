"""Requests are checked, and one process serves a study."""

import pytest
from helpers.rating_panel import make

from datasets.errors import UserError
from datasets.files import locked
from orchestrator.rating.commands import open_or_create, serve
from orchestrator.rating.study import RatingRequest


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


def test_one_process_serves_a_study(study):
    busy = "process 7 serves .*; end it first, or choose another name"
    with locked(study.folder / ".lock", holder="process 7"), pytest.raises(UserError, match=busy):
        serve(study, 0, 1, print)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({}, "there is no study in .*; name models by --images"),
        ({"images": ("a=x",)}, "by --hr FOLDER or by --test SET, one of the two"),
        ({"images": ("a=x",), "hr": "y", "test": "z"}, "one of the two"),
        (
            {"images": ("a=x",), "hr": "nowhere"},
            "--hr must be a folder of pictures, but there is none at nowhere",
        ),
        ({"images": ("folder",), "hr": "y"}, "--images must be NAME=PLACE, but got 'folder'"),
        ({"images": ("a=x", "a=y"), "hr": "y"}, "--images names a twice"),
        ({"images": ("HR=x",), "hr": "y"}, "other than HR"),
        ({"images": ("a=x",), "model": ("a=x",), "hr": "y"}, "both name a"),
    ],
)
def test_bad_requests_are_refused(tmp_path, wish, sentence):
    with pytest.raises(UserError, match=sentence):
        open_or_create(tmp_path / "study", RatingRequest(**wish), "", "cpu", lambda _: None)
