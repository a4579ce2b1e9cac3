"""A study from its plan to its answer: what it writes, how it resumes, what it records."""

import json
from dataclasses import replace

import pytest
from helpers.studies import request, run_tiny, sets  # noqa: F401  (a fixture)

from datasets.errors import UserError
from datasets.files import locked
from orchestrator.studies import run, training
from orchestrator.studies.kinds import dataset_matrix, upsampler
from orchestrator.studies.results import StudyResults

KIND, RECIPE = "dataset_matrix", "miniature_matrix"


def test_a_study_resumes_with_its_unfinished_trainings_only(tmp_path, sets, monkeypatch):
    asked = request(tmp_path, KIND, RECIPE, sets)
    answer = run_tiny(dataset_matrix, asked)
    table = answer.tables[0]
    assert [row[1] for row in table.rows[:3]] == ["warm", "cold", "bicubic"]
    assert {row[0] for row in table.rows} == {
        "psnr_y",
        "ssim_y",
        "swd",
        "fd_random",
        "fd_domains",
        "kd_domains",
    }
    assert {"heat-1.svg", "bars-psnr_y.svg", "strip.png"} <= set(answer.figures)
    assert {c.id for c in answer.claims} == {"matrix-psnr", "matrix-ssim", "matrix-fid", "matrix-strip"}
    assert {c.status for c in answer.claims if c.id != "matrix-strip"} == {"not enough evidence"}
    written = {p.name for p in (asked.folder / "answer").iterdir()}
    assert {"matrix.csv", "diagonal.csv", "study.md", "claims.json"} <= written

    with pytest.raises(UserError, match="study 'dataset_matrix' exists in .*; resume it with --resume"):
        run_tiny(dataset_matrix, asked)
    (asked.folder / "cold-s0" / training.RESULT_FILE).unlink()
    before = (asked.folder / "warm-s0" / training.RESULT_FILE).stat().st_mtime_ns
    resumed = request(tmp_path, KIND, RECIPE, sets, resume=True)
    assert run_tiny(dataset_matrix, resumed).tables[0].rows == table.rows, "the same weights measure the same"
    assert (asked.folder / "warm-s0" / training.RESULT_FILE).stat().st_mtime_ns == before
    with pytest.raises(
        UserError, match="began with other trainings; resume it with the options it began with"
    ):
        run_tiny(dataset_matrix, request(tmp_path, KIND, RECIPE, sets, resume=True, run__gan_steps=4))


def test_facts_name_command_and_state_and_stay_whatever_happens_to_a_resume(tmp_path, sets, monkeypatch):
    asked = request(tmp_path, KIND, RECIPE, sets, command="python experiments/dataset_matrix.py")
    run_tiny(dataset_matrix, asked)
    facts = json.loads((asked.folder / "study.json").read_text())
    assert facts["status"] == "finished" and facts["trainings"] == 2
    assert "python experiments/dataset_matrix.py" in (asked.folder / "answer" / "study.md").read_text()

    again = request(tmp_path, KIND, RECIPE, sets, resume=True)
    with locked(asked.folder / ".lock", holder="process 7"), pytest.raises(UserError, match="7 runs study"):
        run_tiny(dataset_matrix, again)
    monkeypatch.setattr(run, "collect_results", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_tiny(dataset_matrix, again)
    assert json.loads((asked.folder / "study.json").read_text()) == facts, "the answer is not lost"
    (asked.folder / "study.json").write_text('{"status": "finished"}')
    with pytest.raises(UserError, match="study.json is damaged: it has no 'plan'"):
        run_tiny(dataset_matrix, again)


def test_an_error_is_recorded_as_a_failure_and_ctrl_c_as_an_interruption(tmp_path, sets, monkeypatch):
    ended = []

    class Record:
        def finish(self, tags, files, status):
            ended.append((tags["status"], status))

        def close(self, timeout_s):
            return True

    monkeypatch.setattr(run, "_record", lambda *_: Record())
    for error, status in ((RuntimeError("no memory"), "failed"), (KeyboardInterrupt(), "interrupted")):
        monkeypatch.setattr(run, "_run", lambda *_, error=error: (_ for _ in ()).throw(error))
        asked = request(tmp_path, KIND, RECIPE, sets, name=status, track=True)
        with pytest.raises(type(error)):
            run_tiny(dataset_matrix, asked)
        assert json.loads((asked.folder / "study.json").read_text())["status"] == status
    assert ended == [("failed", "FAILED"), ("interrupted", "KILLED")]


def test_every_training_set_is_compared_with_every_test_set_of_its_trainings(tmp_path, sets, monkeypatch):
    compared = []
    monkeypatch.setattr(run, "disjoint", lambda train, test: compared.append((train.name, test.name)))
    study = dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets))
    first = study.trainings[0]
    assert len(first.tests) == 2
    one = replace(first, tests=first.tests[:1])
    same = replace(study, trainings=(one, replace(first, arm="other"), replace(first, arm="third")))
    run._check_images(same, request(tmp_path, KIND, RECIPE, sets))
    train = compared[0][0]
    assert len(compared) == len(set(compared)) == 2 and {name for name, _ in compared} == {train}


def test_nothing_starts_from_a_diverged_training(tmp_path, sets):
    asked = request(tmp_path, "u", "miniature_upsampler", sets[:1], run__psnr_steps=0, optim__lr_g=1e30)
    study = upsampler.plan(asked, sensitivity=False)
    names = {"5+5+5 stage 1", "5+5+5 stage 2"}
    few = replace(
        study, trainings=tuple(t for t in study.trainings if t.arm in names), conclude=StudyResults.diverged
    )
    with pytest.raises(AttributeError):  # the answer of this test is a list of words
        run.run_study(few, asked, (), say=lambda text: None)
    said = run.collect_results(few, asked, (), print).diverged()
    assert "diverged at step" in said[0] and "starts from 5-5-5-stage-1-s0, which diverged" in said[1]
