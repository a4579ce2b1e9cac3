"""A study holds pictures of pixels alone and appears complete or not at all."""

import struct

import pytest
from helpers.rating_panel import SECRETS, make, request_of

from datasets.errors import UserError
from experiments.rate import open_or_create
from orchestrator.rating.study import RatingRequest, open_study


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


def test_pictures_hold_pixels_and_nothing_else(made):
    files = sorted((made.folder / "pictures").iterdir())
    assert len(files) == 3 * 5 + 2
    for file in files:
        assert not any(secret.lower() in file.name.lower() for secret in SECRETS)
        assert set(chunks(file.read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}


def chunks(data):
    place = 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        yield kind
        place += 12 + length


def test_a_start_that_was_killed_leaves_no_study(tmp_path):
    request = request_of(tmp_path)
    (tmp_path / ".study.part/pictures").mkdir(parents=True)
    (tmp_path / "study/pictures").mkdir(parents=True)
    (tmp_path / "study/pictures/0009-09.png").write_bytes(b"old")
    assert open_study(tmp_path / "study", request) is None
    study = open_or_create(tmp_path / "study", request, "", "cpu", lambda _: None)
    assert not (study.folder / "pictures/0009-09.png").exists() and not (tmp_path / ".study.part").exists()


def test_numbers_out_of_range_and_unknown_resizers_are_refused(tmp_path):
    with pytest.raises(UserError, match="--calibration must be at least 1, but got 0"):
        RatingRequest(calibration=0)
    with pytest.raises(UserError, match="no resizer 'bicubc'.*did you mean 'bicubic'"):
        make(tmp_path, resizers=("bicubc",))
    with pytest.raises(UserError, match="4 images leave none to rate beside --calibration 4"):
        make(tmp_path / "b", calibration=4)
