"""The segments of a trial: the settings that hold from each step on, and what a resumed trial still runs."""

import json

from orchestrator.trial.lineage import Lineage

WEIGHT = "loss.adversarial_weight"
THREE = Lineage(((0, {WEIGHT: 1.0}), (20, {WEIGHT: 2.0}), (50, {WEIGHT: 3.0})))
SEGMENTS = [({WEIGHT: 1.0}, 20), ({WEIGHT: 2.0}, 50), ({WEIGHT: 3.0}, 80)]


def test_most_trials_have_one_segment_from_the_warm_start_to_the_end():
    assert list(Lineage().remaining(0, 80)) == [({}, 80)]
    assert list(Lineage.from_dict(None).remaining(33, 80)) == [({}, 80)]
    assert Lineage().describe() == ""


def test_a_resumed_trial_runs_the_segment_it_was_in_and_those_after_it():
    assert list(THREE.remaining(0, 80)) == SEGMENTS
    assert list(THREE.remaining(19, 80)) == SEGMENTS
    assert list(THREE.remaining(20, 80)) == SEGMENTS[1:]
    assert list(THREE.remaining(79, 80)) == SEGMENTS[2:]


def test_a_trial_that_had_reached_its_end_still_runs_its_last_segment_of_no_steps():
    assert list(THREE.remaining(80, 80)) == SEGMENTS[2:]


def test_a_trial_may_end_before_its_phase():
    part = Lineage(THREE.segments[:2], parent="url", start_step=20, end_step=50)
    assert list(part.remaining(20, 80)) == SEGMENTS[1:2]
    assert list(Lineage(end_step=4).remaining(0, 6)) == [({}, 4)]


def test_steps_of_changes_follow_a_design_s_name():
    assert THREE.describe() == " (changed at 20, 50)"


def test_plain_data_reads_back_also_through_json():
    part = Lineage(THREE.segments[:2], parent="url", start_step=20, end_step=50)
    plain = part.to_dict()
    assert plain == {
        "segments": [[0, {WEIGHT: 1.0}], [20, {WEIGHT: 2.0}]],
        "parent": "url",
        "start_step": 20,
        "end_step": 50,
    }
    assert Lineage.from_dict(json.loads(json.dumps(plain))) == part
