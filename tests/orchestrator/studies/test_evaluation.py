"""Evaluation of networks and baselines on the test images of a study."""

from dataclasses import replace

import numpy as np
from helpers.studies import TINY, sets  # noqa: F401  (a fixture)
from PIL import Image

from experiments import recipes
from orchestrator.studies import evaluation
from orchestrator.studies.spec import StudyTestSet, Training
from trainers.config import override


def test_only_the_first_images_are_measured_and_the_protocol_says_so(tmp_path, sets):
    data = override(recipes.build("miniature_review"), TINY).data
    test = StudyTestSet("warm", replace(data, test=sets[0].split("=")[1]), 3)
    _, pairs = evaluation.open_evaluator(test, 4, ("psnr_y",), tmp_path)
    every, all_pairs = evaluation.open_evaluator(replace(test, first=0), 4, ("psnr_y",), tmp_path)
    assert [p.key for p in pairs] == sorted(p.key for p in all_pairs)[:3] and len(all_pairs) == 40


def test_a_baseline_is_measured_and_its_first_pictures_are_saved(tmp_path, sets):
    config = override(recipes.build("miniature_matrix"), TINY)
    test = StudyTestSet("warm", replace(config.data, test=sets[0].split("=")[1]), 5)
    training = Training("a", 0, config, (test,), ("psnr_y",), extras=("saturation",))
    measured = evaluation.evaluate_baseline("bicubic", training, test, tmp_path / "out", tmp_path)
    assert len(measured["keys"]) == len(measured["per_image"]["psnr_y"]) == 5
    assert measured["summary"]["psnr_y"] == np.mean(measured["per_image"]["psnr_y"])
    assert measured["protocol"]["saturation"] == "mean distance from grey over that of the target"
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {f"warm-{n}-{i}.png" for n in ("input", "target", "bicubic") for i in range(4)}
    with Image.open(tmp_path / "out" / "warm-input-0.png") as picture:
        assert picture.size == (8, 8)
