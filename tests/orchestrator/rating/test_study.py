"""A study on disk can be read again; other settings are refused."""

import pytest
from helpers.rating_panel import make

from datasets.errors import UserError
from orchestrator.rating.scores import ScoreStore, read_sessions
from orchestrator.rating.study import RatingRequest, open_study


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


def test_a_study_is_continued_and_another_one_is_refused(study):
    assert open_study(study.folder, RatingRequest()) == study
    assert open_study(study.folder, RatingRequest(calibration=1, repeats=4)) == study
    with pytest.raises(UserError, match="made with another --repeats; leave that out to continue"):
        open_study(study.folder, RatingRequest(repeats=5))


STUDY_JSON = """{"models": ["sharpnet", "nearest", "HR"], "images": ["harbour", "quarry"],
"calibration": ["meadow"], "repeats": 2, "secret": "0123456789abcdef0123456789abcdef",
"digest": "fedcba9876543210", "request": {"images": ["sharpnet=out/sharpnet"], "model": [], "hr": "photos",
"test": "", "scale": 4, "degradation": "matlab", "resizers": ["nearest"], "calibration": 1, "max_images": 0,
"repeats": 2}}"""
SESSION_LINES = """{"rater": "Ada", "session": 1, "began": "2026-01-02T03:04:05.678+00:00", \
"order": [[0, 2, false], [1, 0, false], [0, 2, true]]}
{"position": 0, "score": 5, "model": "HR", "image": "harbour", "repeat": false, "shown": 1.0, \
"time": "2026-01-02T03:05:00.000+00:00"}
"""


def test_a_study_in_progress_of_the_first_version_can_be_continued(tmp_path):
    """These texts are what version 0.1 wrote: people have such studies on their disks."""
    (tmp_path / "raters").mkdir()
    (tmp_path / "study.json").write_text(STUDY_JSON)
    key = "4bd2dd7e0b6a8a0fb5c8a9d1"
    (tmp_path / f"raters/{key}.jsonl").write_text(SESSION_LINES)
    study = open_study(tmp_path, RatingRequest(hr="photos"))
    assert study.models == ("sharpnet", "nearest", "HR") and study.request["images"] == (
        "sharpnet=out/sharpnet",
    )
    assert study.picture(1, 2) == tmp_path / "pictures/0001-02.png"
    assert study.example(0, 5) == tmp_path / "pictures/example-00-5.png"
    session = ScoreStore(study).find(key)
    assert (session.rater, session.number, session.current) == ("Ada", 1, 1)
    session.rate(study, 1, 3, None)
    assert read_sessions(tmp_path)[0].ratings[1]["model"] == "sharpnet"


def test_names_of_sessions_and_orders_of_pictures_never_change(tmp_path):
    """A rater who comes back must find the file of the first visit."""
    (tmp_path / "study.json").write_text(STUDY_JSON)
    session = ScoreStore(open_study(tmp_path, RatingRequest())).join("Ada", 1)
    assert session.path == tmp_path / f"raters/{session.key}.jsonl"
    assert session.key == "47a3c3cc9daa456303ff03fc"
    assert [(p.image, p.model, p.repeat) for p in session.order[:4]] == [
        (1, 2, False),
        (0, 1, False),
        (0, 2, False),
        (0, 1, True),
    ]
