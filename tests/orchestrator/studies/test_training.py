"""One training in its folder: an interrupted one, a finished one, and its log."""

import json
from dataclasses import replace

import pytest
from helpers.studies import request, run_tiny, sets  # noqa: F401  (a fixture)

from orchestrator.studies import run, training
from orchestrator.studies.kinds import dataset_matrix
from orchestrator.studies.results import Answer
from trainers.sentinels import STRENGTHS

KIND, RECIPE = "dataset_matrix", "miniature_matrix"


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path, sets, monkeypatch):
    calm = run_tiny(dataset_matrix, request(tmp_path, KIND, RECIPE, sets, name="calm"))
    real, calls = training.TrainingRun.train, []

    def dies(self):
        calls.append(1)
        if len(calls) == 2:
            self.stop = lambda: self.monitor.restore() is not None  # after its first checkpoint
        return real(self)

    monkeypatch.setattr(training.TrainingRun, "train", dies)
    with pytest.raises(Exception, match="stopped at step"):
        run_tiny(dataset_matrix, request(tmp_path, KIND, RECIPE, sets, name="shaken"))
    shaken = run_tiny(dataset_matrix, request(tmp_path, KIND, RECIPE, sets, name="shaken", resume=True))
    assert shaken.tables[0].rows == calm.tables[0].rows


def test_a_sentinel_is_measured_on_the_edited_outputs_of_another_training(tmp_path, sets):
    asked = request(tmp_path, KIND, RECIPE, sets, run__gan_steps=0)
    study = dataset_matrix.plan(asked)
    network = study.trainings[0]
    sentinel = replace(network, arm="sharpened", after=network.name, edit="sharpened", extractor="")
    assert sentinel.steps == 0
    few = replace(study, trainings=(network, sentinel), conclude=lambda results: Answer([], {}, []))
    run.run_study(few, asked, (), say=lambda text: None)
    plain, masked = (training.read_result(asked.folder / t.name) for t in (network, sentinel))
    assert masked["strength"] in STRENGTHS["sharpened"] and not masked["log"]
    assert masked["tests"]["warm"]["keys"] == plain["tests"]["warm"]["keys"]
    assert masked["tests"]["warm"]["summary"]["psnr_y"] != plain["tests"]["warm"]["summary"]["psnr_y"]


def test_a_finished_training_is_not_repeated(tmp_path):
    (tmp_path / training.RESULT_FILE).write_text('{"diverged": ""}')
    job = training.TrainingJob(None, str(tmp_path), "", "", "", (), 0)
    training.run_training(job)
    assert training.is_done(tmp_path) and training.read_result(tmp_path) == {"diverged": ""}


def test_of_entries_repeated_by_a_resumed_run_the_last_counts(tmp_path):
    entries = [
        {"phase": "psnr", "step": 1, "log": {"pixel": 1.0}},
        {"phase": "psnr", "step": 1, "val": {"psnr_y": 20.0}},
        {"phase": "psnr", "step": 1, "log": {"pixel": 0.5}},
        {"phase": "gan", "step": 1, "log": {"pixel": 0.25}},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    assert training._read_log(tmp_path) == [entries[2], entries[1], entries[3]]
    assert training._read_log(tmp_path / "other") == []


def test_a_folder_without_checkpoint_is_an_error(tmp_path, sets):
    config = request(tmp_path, KIND, RECIPE, sets).config
    with pytest.raises(RuntimeError, match="empty holds no checkpoint"):
        training.last_checkpoint(tmp_path / "empty", config)
