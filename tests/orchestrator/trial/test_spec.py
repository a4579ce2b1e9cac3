"""What a trial is given: its id, its config, its lineage, and the segments that a resumed one still runs."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.trial import spec
from orchestrator.trial.spec import Lineage, TrialSpec, identity, scratch_of
from trainers.config import TrainConfig, flatten

WEIGHT = "loss.adversarial_weight"
LINEAGE = Lineage(((0, {}), (4, {WEIGHT: 0.5})), parent="url", start_step=4, end_step=6)
THREE = Lineage(((0, {WEIGHT: 1.0}), (20, {WEIGHT: 2.0}), (50, {WEIGHT: 3.0})))
SEGMENTS = [({WEIGHT: 1.0}, 20), ({WEIGHT: 2.0}, 50), ({WEIGHT: 3.0}, 80)]


def made(**more):
    return TrialSpec("s", "screen", "/runs", "/node", flatten(TrainConfig()), {}, **more)


@pytest.fixture(autouse=True)
def tune(monkeypatch):
    context = SimpleNamespace(get_trial_id=lambda: "ab12_0001")
    monkeypatch.setattr(spec, "tune", SimpleNamespace(get_context=lambda: context))


def test_a_drawn_design_is_its_parameters_and_its_id_is_tune_s():
    trial_id, config, lineage = identity({WEIGHT: 0.3, "loss.pixel_weight?": True}, made())
    assert trial_id == "screen-ab12_0001"
    assert config.loss.adversarial_weight == 0.3 and lineage == Lineage()
    assert config.run == TrainConfig().run, "the rest is the base"


def test_a_listed_design_has_its_own_id_and_lineage():
    designs = ({"trial_id": "a"}, {"trial_id": "b", WEIGHT: 0.2, "lineage": LINEAGE.to_dict()})
    given = made(designs=designs)
    assert identity({"index": 0}, given) == ("a", TrainConfig(), Lineage())
    trial_id, config, lineage = identity({"index": 1}, given)
    assert (trial_id, config.loss.adversarial_weight, lineage) == ("b", 0.2, LINEAGE)
    assert designs[1]["trial_id"] == "b", "a second attempt reads it again"


def test_each_rank_has_its_own_folder():
    assert scratch_of(made(), "t") == Path("/node/scratch/s/t")
    assert scratch_of(made(), "t", rank=2) == Path("/node/scratch/s/t/rank-2")


def test_a_spec_travels_small():
    assert pickle.loads(pickle.dumps(made())) == made()
    assert len(pickle.dumps(made())) < 10_000


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
