"""A document from finished studies: its claims, states and table."""

import json

import pytest

from datasets.errors import UserError
from orchestrator.studies import reproduce


def test_an_unknown_document_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="no document 'esrgan_report'.*did you mean 'esrgan_implementation_"):
        reproduce.claims_of("esrgan_report")


def test_the_state_of_a_study_is_read_from_its_facts(tmp_path):
    assert reproduce.state_of(tmp_path) == "new"
    for status, state in (("running", "begun"), ("interrupted", "begun"), ("finished", "finished")):
        (tmp_path / "study.json").write_text(json.dumps({"status": status}))
        assert reproduce.state_of(tmp_path) == state


def test_studies_of_a_document_are_those_that_its_claims_name():
    known = {"perception_distortion": 0, "dataset_matrix": 0}
    assert reproduce.studies_of("esrgan_implementation_report", known) == ["perception_distortion"]
    known |= {"colorize": 0, "edges_to_photo": 0}
    found = reproduce.studies_of("srgan_training_dataset_matters", known)
    assert found == ["dataset_matrix", "colorize", "edges_to_photo"]


def test_the_table_counts_statuses_and_says_what_evidence_takes(tmp_path):
    (tmp_path / "answer").mkdir()
    claims = [{"id": "plane", "status": "not enough evidence", "why": "a | b"}]
    (tmp_path / "answer" / "claims.json").write_text(json.dumps(claims))
    lines = reproduce.lines("esrgan_implementation_report", {"perception_distortion": tmp_path})
    assert "| not enough evidence | a \\| b |\n" in lines[2]
    assert lines[-2] == "5 in all: 1 not enough evidence, 4 untested"
    assert lines[-1].startswith("not enough evidence: a verdict takes at least 5 seeds (--seeds) and 30 test")
