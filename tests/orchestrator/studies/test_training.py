"""One training in its folder: an interrupted one, a finished one, and its log."""

import json

import pytest
from helpers.studies import request, run_tiny, sets  # noqa: F401  (a fixture)

from orchestrator.studies import training
from orchestrator.studies.kinds import dataset_matrix

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
