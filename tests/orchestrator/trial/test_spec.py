"""What a trial is given: its id, its config and its lineage, from Tune's parameters or a list of designs."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.trial import spec
from orchestrator.trial.lineage import Lineage
from orchestrator.trial.spec import TrialSpec, identity, scratch_of
from trainers.config import TrainConfig, flatten

WEIGHT = "loss.adversarial_weight"
LINEAGE = Lineage(((0, {}), (4, {WEIGHT: 0.5})), parent="url", start_step=4, end_step=6)


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
