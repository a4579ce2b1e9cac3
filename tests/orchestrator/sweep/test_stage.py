"""A stage's names: its files, its study, its trials."""

from orchestrator.sweep.stage import Stage


def test_a_part_of_a_stage_has_files_and_a_study_of_its_own():
    assert Stage("screen").key == "screen" and Stage("screen", part="-g1").key == "screen-g1"
    assert Stage("screen", part="-g1").study_name("faces") == "faces-screen-g1"


def test_a_drawn_trial_is_named_by_tune_and_a_listed_one_by_its_design():
    assert Stage("screen", draws=True).identity("ab12", {"x": 1}) == ("screen-ab12", {"x": 1})
    listed = Stage("warm", ({"trial_id": "warm-a", "x": 1}, {"trial_id": "warm-b", "x": 2}))
    assert listed.identity("ab12", {"index": 1}) == ("warm-b", {"x": 2})
    assert listed.designs[1]["trial_id"] == "warm-b", "the stage itself is unchanged"
