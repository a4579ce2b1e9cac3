"""A candidate comes from a sweep's pick, a run or a checkpoint folder, with what is known of its origin."""

from types import SimpleNamespace

import pytest
import torch
from helpers.promotion import sweep

from datasets.errors import UserError
from orchestrator.registry.candidate import (
    candidate_of_folder,
    candidate_of_run,
    find_candidate,
    registered_name,
)
from orchestrator.storage import Storage
from orchestrator.tracking.writer import KEY_TAG
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator
from trainers.state import new_state

CONFIG = TrainConfig(recipe="demo", generator=GeneratorConfig(num_blocks=1, channels=4))


def client(key):
    """An MLflow client whose only run has the run key `key`."""
    run = SimpleNamespace(data=SimpleNamespace(tags={KEY_TAG: key}))
    return SimpleNamespace(get_run=lambda _: run)


def test_the_pick_of_a_sweep_is_loaded_with_its_row(tmp_path):
    sweep(tmp_path, "demo", 1.0)
    candidate = find_candidate(Storage(str(tmp_path)), "demo", tmp_path)
    assert candidate.row["trial_id"] == "confirm-1" and candidate.sweep["gpu_hours"] == 0.5
    assert candidate.generator.tail.bias[0] == 1.0 and candidate.warm_generator is None


def test_a_run_is_found_by_its_key(tmp_path):
    sweep(tmp_path, "demo", 1.0)
    storage = Storage(str(tmp_path))
    candidate = candidate_of_run(storage, client("demo/confirm/confirm-1"), "0123", tmp_path)
    assert candidate.row["trial_id"] == "confirm-1"
    with pytest.raises(UserError, match="run 0123 is not a trial of a sweep; set --run"):
        candidate_of_run(storage, client("demo"), "0123", tmp_path)
    with pytest.raises(UserError, match="this run of sweep demo has no checkpoint"):
        candidate_of_run(storage, client("demo/screen/confirm-1"), "0123", tmp_path)


def test_a_checkpoint_to_resume_from_knows_its_step(tmp_path):
    state = new_state(CONFIG, "gan", torch.device("cpu"))
    state.step = 30
    checkpoint.save(tmp_path / "gan-00000030", CONFIG, state, {"progress": {"curve": []}})
    candidate = candidate_of_folder(tmp_path / "gan-00000030")
    assert candidate.row["steps"] == 30 and candidate.sweep["recipe"] == "demo"
    assert "max_steps" not in candidate.row and "gpu_hours" not in candidate.sweep


@pytest.mark.parametrize(("extra", "known"), [({"step": 20, "val": {}}, {"steps": 20}), ({}, {})])
def test_a_stored_generator_knows_its_step_if_it_was_written_down(tmp_path, extra, known):
    checkpoint.save_generator(tmp_path / "best", CONFIG, build_generator(CONFIG.generator), extra)
    row = candidate_of_folder(tmp_path / "best").row
    assert {name: row[name] for name in ("steps", "max_steps") if name in row} == known


@pytest.mark.parametrize(
    ("sweep", "model"), [("demo", "upsweep-demo"), ("demo-2", "upsweep-demo"), ("faces", "upsweep-faces")]
)
def test_sweeps_on_other_images_have_another_registered_name(sweep, model):
    assert registered_name(sweep) == model
