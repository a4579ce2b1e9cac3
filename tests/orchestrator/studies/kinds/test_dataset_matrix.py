"""Train on A, test on B: the tables, refusals, and the verdicts on the diagonal."""

import numpy as np
import pytest
from helpers.studies import SIZES, finished, pictures, request, run_tiny, sets  # noqa: F401  (a fixture)

from datasets import splits
from datasets.errors import UserError
from datasets.prepare import prepare, prepare_study_set
from orchestrator.analysis.significance import Verdict
from orchestrator.studies.kinds import colorize, dataset_matrix
from orchestrator.studies.results import StudyResults

KIND, RECIPE = "dataset_matrix", "miniature_matrix"


def test_metrics_that_need_weights_are_measured_where_these_are_installed(monkeypatch):
    monkeypatch.setattr(dataset_matrix, "installed", lambda *metrics: metrics)
    found = dataset_matrix.measured()
    assert {"lpips_alex", "fd_efficientnet", "kd_efficientnet", "fid", "kid"} < set(found)


@pytest.mark.parametrize(
    ("distances", "words"),
    [
        (("fd_domains", "fd_efficientnet", "fid"), ""),
        (("fd_domains", "fd_efficientnet"), "fd_efficientnet in place of FID (no Inception): "),
        (("fd_domains",), "fd_domains in place of FID (no Inception): "),
    ],
)
def test_the_chart_of_fid_is_answered_by_the_best_distance_there_is(distances, words):
    undecided = {"faces": Verdict("not enough evidence", 0.5, None, None)}
    claims = dataset_matrix._claims(dict.fromkeys(("psnr_y", "ssim_y", *distances), undecided))
    assert {c.id: c.why for c in claims}["matrix-fid"].startswith(f"{words}the diagonal wins where")


def test_sets_of_different_size_are_refused(tmp_path, sets, monkeypatch):
    first = dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets))
    place = first.trainings[0].config.data.train
    monkeypatch.setitem(splits.STUDIES, "miniature", SIZES | {"test": 31})
    other = pictures(tmp_path / "other", 0)
    with pytest.raises(UserError, match="equally many test images, but have big 32, small 31"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [f"big={place}", f"small={other}"]))


def test_a_set_without_test_images_one_set_and_equal_names_are_refused(tmp_path, sets, monkeypatch):
    with pytest.raises(UserError, match="compares at least 2 sets, but --data names 1"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets[:1]))
    with pytest.raises(UserError, match="a name of its own"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [sets[0], sets[0]]))
    monkeypatch.setitem(splits.STUDIES, "miniature", {"val": 2, "train": 30})
    with pytest.raises(UserError, match="no split of .* called 'test'"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, sets, storage=str(tmp_path / "else")))
    prepare("folder", sets[0].split("=")[1], str(tmp_path / "undivided"), split="whole")
    with pytest.raises(UserError, match="warm has no test images; import it with a --split that has"):
        colorize.plan(request(tmp_path, "colorize", "miniature_colorize", [f"all={tmp_path / 'undivided'}"]))


def test_too_few_photographs_and_pictures_in_both_roles_are_refused(tmp_path, sets, monkeypatch):
    few = pictures(tmp_path / "few", 1, count=8)
    with pytest.raises(UserError, match="has 8 images, but this study cuts each set into 32 test"):
        dataset_matrix.plan(request(tmp_path, KIND, RECIPE, [sets[0], f"few={few}"]))
    with monkeypatch.context() as cut_elsewhere:
        cut_elsewhere.setattr(splits, "_hash", lambda name: name[::-1])
        twin = prepare_study_set(sets[0].split("=")[1], "miniature", tmp_path / "elsewhere")
    with pytest.raises(UserError, match="data.train and data.test share images"):
        run_tiny(dataset_matrix, request(tmp_path, KIND, RECIPE, [sets[0], f"twin={twin}"]))


def test_the_diagonal_wins_only_with_enough_seeds_and_images(tmp_path):
    rng = np.random.default_rng(0)
    done = []
    for seed in range(5):
        for arm, level in (("x", 31.0), ("y", 30.0)):
            run = finished(arm, seed, [])
            for name in ("x", "y"):
                values = list(level * (1 if name == arm else 0.9) + rng.normal(0, 0.05, 40))
                run.measured["tests"][name] = finished(arm, seed, values).measured["tests"][name]
            done.append(run)
    verdicts = dataset_matrix.diagonal(StudyResults(done, {}, tmp_path, tmp_path), ["x", "y"], "psnr_y")
    assert {v.word for v in verdicts.values()} == {"beats"}
    few = dataset_matrix.diagonal(StudyResults(done[:8], {}, tmp_path, tmp_path), ["x", "y"], "psnr_y")
    assert {v.word for v in few.values()} == {"not separable"}, "four seeds do not make a verdict"
