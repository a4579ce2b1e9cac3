"""Scores survive a kill and a full disk; names and damaged files are checked."""

import json

import pytest
from helpers.rating_panel import make, sit

from datasets.errors import UserError
from orchestrator.rating.scores import RatingSession, ScoreStore, clean_name


@pytest.fixture
def study(tmp_path):
    return make(tmp_path)


def test_a_score_is_on_the_disk_before_it_is_answered(study, monkeypatch):
    synced = []
    monkeypatch.setattr("orchestrator.rating.scores.os.fsync", lambda handle: synced.append(handle))
    session = ScoreStore(study).join("Ada", 1)
    synced.clear()
    session.rate(study, 0, 4, None)
    assert len(synced) == 1
    kept = json.loads(session.path.read_text().splitlines()[-1])
    trial = session.order[0]
    assert (kept["score"], kept["model"]) == (4, study.models[trial.model])


def test_a_session_continues_after_a_kill_within_a_line(study):
    session = sit(ScoreStore(study), "Ada", lambda *_: 3, until=5)
    with open(session.path, "a") as file:
        file.write('{"position": 5, "sco')
    again = ScoreStore(study).join("ada", 1)
    assert again.current == 5 and again.order == session.order
    again.rate(study, 5, 2, None)
    assert RatingSession(session.path).ratings[5]["score"] == 2


def test_a_full_disk_keeps_no_half_score(study, monkeypatch):
    session = ScoreStore(study).join("Ada", 1)
    before = session.path.read_bytes()

    def refuse(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.rating.scores.os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        session.rate(study, 0, 4, None)
    assert session.path.read_bytes() == before and session.current == 0


def test_a_damaged_file_is_named(study):
    path = ScoreStore(study).join("Ada", 1).path
    path.write_text(path.read_text() + "garbage\n")
    with pytest.raises(UserError, match="jsonl is damaged"):
        ScoreStore(study)


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x00b"])
def test_bad_names_are_refused(name):
    with pytest.raises(UserError, match="1 to 40 characters"):
        clean_name(name)
