"""Train on A, test on B: the machinery at its smallest scale, its refusals, and a resumed study."""

import json

import numpy as np
import pytest
from helpers.studies import SIZES, pictures, request, sets  # noqa: F401  (a fixture)

from datasets import splits
from datasets.errors import UserError
from datasets.prepare import prepare, prepare_study_set
from orchestrator.studies import estimate, run
from orchestrator.studies import training as work
from orchestrator.studies.kinds import colorize, dataset_matrix
from orchestrator.studies.results import FinishedTraining, Results

KIND, RECIPE = "dataset_matrix", "miniature_matrix"


def carry_out(asked):
    return run.run_study(dataset_matrix.plan(asked), asked, dataset_matrix.BASELINES, say=lambda text: None)


def test_every_network_meets_every_set_and_a_study_goes_on_where_it_stopped(tmp_path, sets, monkeypatch):  # noqa: F811
    asked = request(tmp_path, KIND, RECIPE, sets)
    answer = carry_out(asked)
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

    with pytest.raises(UserError, match="study 'dataset_matrix' exists in .*: go on with --resume"):
        carry_out(asked)
    (asked.folder / "cold-s0" / work.RESULT_FILE).unlink()
    before = (asked.folder / "warm-s0" / work.RESULT_FILE).stat().st_mtime_ns
    resumed = request(tmp_path, KIND, RECIPE, sets, resume=True)
    assert carry_out(resumed).tables[0].rows == table.rows, "the same weights measure the same"
    assert (asked.folder / "warm-s0" / work.RESULT_FILE).stat().st_mtime_ns == before
    with pytest.raises(
        UserError, match="began with other trainings; resume it with the options it began with"
    ):
        carry_out(request(tmp_path, KIND, RECIPE, sets, resume=True, run__gan_steps=4))


def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path, sets, monkeypatch):  # noqa: F811
    calm = carry_out(request(tmp_path, KIND, RECIPE, sets, name="calm"))
    real, calls = work.TrainingRun.train, []

    def dies(self):
        calls.append(1)
        if len(calls) == 2:
            self.stop = lambda: self.monitor.restore() is not None  # after its first checkpoint
        return real(self)

    monkeypatch.setattr(work.TrainingRun, "train", dies)
    with pytest.raises(Exception, match="stopped at step"):
        carry_out(request(tmp_path, KIND, RECIPE, sets, name="shaken"))
    shaken = carry_out(request(tmp_path, KIND, RECIPE, sets, name="shaken", resume=True))
    assert shaken.tables[0].rows == calm.tables[0].rows


def test_a_plan_says_trainings_images_and_hours_and_writes_nothing(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, KIND, RECIPE, ["celeba", "lsun_tower"])
    said = "\n".join(estimate.lines(dataset_matrix.plan(asked, dry=True), asked))
    assert (
        "2 trainings" in said
        and "in all about" in said
        and "images celeba: train 6, test 32 once it is at hand" in said
    )
    assert not asked.folder.exists()


def test_sets_of_different_size_are_refused(tmp_path, sets, monkeypatch):  # noqa: F811
    first = dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets))
    place = first.trainings[0].config.data.train
    monkeypatch.setitem(splits.STUDIES, "miniature", SIZES | {"test": 31})
    other = pictures(tmp_path / "other", 0)
    with pytest.raises(UserError, match="equally many test images, but have big 32, small 31"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [f"big={place}", f"small={other}"]))


def test_a_set_without_test_images_one_set_and_equal_names_are_refused(tmp_path, sets, monkeypatch):  # noqa: F811
    with pytest.raises(UserError, match="compares at least 2 sets; --data names 1"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets[:1]))
    with pytest.raises(UserError, match="names of their own"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [sets[0], sets[0]]))
    monkeypatch.setitem(splits.STUDIES, "miniature", {"val": 2, "train": 30})
    with pytest.raises(UserError, match="no split of .* called 'test'"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets, storage=tmp_path / "else"))
    prepare("folder", sets[0].split("=")[1], str(tmp_path / "undivided"), split="whole")
    with pytest.raises(UserError, match="warm has no test images; import it with a --split that has"):
        colorize.plan(request(tmp_path, "colorize", "miniature_colorize", [f"all={tmp_path / 'undivided'}"]))


def test_too_few_photographs_and_pictures_in_both_roles_are_refused(tmp_path, sets, monkeypatch):  # noqa: F811
    few = pictures(tmp_path / "few", 1, count=8)
    with pytest.raises(UserError, match="has 8 photographs, but this study cuts each set into 32 test"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [sets[0], f"few={few}"]))
    with monkeypatch.context() as cut_elsewhere:
        cut_elsewhere.setattr(splits, "_hash", lambda name: name[::-1])
        twin = prepare_study_set(sets[0].split("=")[1], "miniature", tmp_path / "elsewhere")
    with pytest.raises(UserError, match="data.train and data.test share images"):
        carry_out(request(tmp_path, KIND, RECIPE, [sets[0], f"twin={twin}"]))


def done(arm, seed, values, protocol="p"):
    test = {"summary": {"psnr_y": float(np.mean(values))}, "per_image": {"psnr_y": values}}
    tests = {t: test | {"keys": list("ab"), "protocol": {"psnr_y": protocol}} for t in ("x", "y")}
    return FinishedTraining(
        type("T", (), {"arm": arm, "seed": seed})(), None, {"diverged": "", "tests": tests}
    )


def test_values_of_two_protocols_never_meet(tmp_path):
    results = Results([done("a", 0, [1.0, 2.0]), done("b", 0, [1.0, 2.0], "q")], {}, tmp_path, tmp_path)
    with pytest.raises(UserError, match="psnr_y of 'a' and 'b' was measured in two ways that do not compare"):
        results.compare("a", "b", "x", "psnr_y")


def test_the_diagonal_wins_only_with_seeds_and_images_enough(tmp_path):
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(5):
        for arm, level in (("x", 31.0), ("y", 30.0)):
            tests = {}
            for name in ("x", "y"):
                values = list(level * (1 if name == arm else 0.9) + rng.normal(0, 0.05, 40))
                tests[name] = {
                    "summary": {"psnr_y": float(np.mean(values))},
                    "per_image": {"psnr_y": values},
                    "keys": [str(i) for i in range(40)],
                    "protocol": {"psnr_y": "p"},
                }
            training = type("T", (), {"arm": arm, "seed": seed})()
            runs.append(FinishedTraining(training, tmp_path, {"diverged": "", "tests": tests}))
    verdicts = dataset_matrix.diagonal(Results(runs, {}, tmp_path, tmp_path), ["x", "y"], "psnr_y")
    assert {v.word for v in verdicts.values()} == {"beats"}
    few = dataset_matrix.diagonal(Results(runs[:8], {}, tmp_path, tmp_path), ["x", "y"], "psnr_y")
    assert {v.word for v in few.values()} == {"not separable"}, "four seeds do not make a verdict"


def test_facts_name_what_was_run(tmp_path, sets):  # noqa: F811
    asked = request(tmp_path, KIND, RECIPE, sets, command="python experiments/dataset_matrix.py")
    carry_out(asked)
    facts = json.loads((asked.folder / "study.json").read_text())
    assert facts["status"] == "finished" and facts["trainings"] == 2
    assert "python experiments/dataset_matrix.py" in (asked.folder / "answer" / "study.md").read_text()
