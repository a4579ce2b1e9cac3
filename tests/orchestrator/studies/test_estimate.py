"""The estimated cost of a study: hours by arm, and images that are prepared or not."""

import re

import torch
from helpers.studies import TINY, request, sets  # noqa: F401  (a fixture)

from experiments import recipes
from experiments.common import study_command
from orchestrator.studies import estimate
from orchestrator.studies.kinds import dataset_matrix, edges_to_photo
from orchestrator.studies.spec import Training
from trainers.config import override

KIND, RECIPE = "dataset_matrix", "miniature_matrix"


def test_an_estimate_lists_trainings_images_and_hours_and_writes_nothing(tmp_path, sets):
    asked = request(tmp_path, KIND, RECIPE, ["celeba", "lsun_tower"])
    said = "\n".join(estimate.lines(dataset_matrix.plan(asked, dry=True), asked))
    assert (
        "2 trainings" in said
        and "in all about" in said
        and "images celeba: train 6, test 32 once it is prepared" in said
    )
    assert not asked.folder.exists()


def test_a_plan_counts_both_phases_and_the_published_images(tmp_path, monkeypatch, capsys):
    def timed(training):
        run = training.config.run
        steps = {"psnr": run.psnr_steps, "gan": run.gan_steps}
        return {phase: 3600 / n for phase, n in steps.items() if n}  # an hour each

    monkeypatch.setattr(estimate, "seconds_per_step", timed)
    options = study_command.parse("perception_distortion", argv=["--dry-run", "--storage", str(tmp_path)])
    study_command.run("perception_distortion", options)
    said = capsys.readouterr().out
    assert re.search(r"PSNR phase +5 x 1,000,000 steps +5.00 h", said)
    assert re.search(r"GAN phase +5 x +400,000 steps +5.00 h", said)  # it differs in its phases alone
    assert "images div2k: 900 in all once it is prepared" in said and "images bsd100: 100 in all" in said


def test_photographs_are_counted_without_an_import(tmp_path, sets):
    options = study_command.parse(
        "edges_to_photo", argv=["--dry-run", "--miniature", "--storage", str(tmp_path / "s"), "--data", *sets]
    )
    asked = study_command.request_of("edges_to_photo", options)
    said = estimate.images(edges_to_photo.plan(asked, dry=True), asked)
    assert [line.partition(": ")[2] for line in said] == ["train 6, test 32"] * 2
    assert not (tmp_path / "s").exists()


def test_the_estimate_times_real_updates(monkeypatch):
    config = override(recipes.build("miniature_matrix"), TINY)
    found = estimate.seconds_per_step(Training("a", 0, config, (), ()))
    assert set(found) == {"psnr", "gan"} and 0 < found["psnr"] < 10


def test_other_load_of_the_machine_is_not_counted(monkeypatch):
    ticks = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: float(next(ticks)))  # as if it slept for long
    config = override(recipes.build("miniature_matrix"), TINY)
    found = estimate.seconds_per_step(Training("a", 0, config, (), ()))
    assert all(seconds < 100 for seconds in found.values())


def test_a_gpu_is_timed_with_the_whole_batch_and_a_cpu_with_two_crops(monkeypatch):
    config = override(recipes.build("demo"), {"data.batch_size": 8, "optim.micro_batches": 2})
    seen = []

    def time_step(config, batches, device, phases, timer):
        seen.append((config.data.batch_size, config.optim.micro_batches, len(next(batches)[0])))
        return dict.fromkeys(phases, 1.0)

    monkeypatch.setattr(estimate, "time_step", time_step)
    assert estimate.seconds_per_step(Training("a", 0, config, (), ())) == {"psnr": 4.0, "gan": 4.0}
    monkeypatch.setattr(estimate, "pick_device", lambda name: torch.device("meta"))  # any but a CPU
    assert estimate.seconds_per_step(Training("a", 0, config, (), ())) == {"psnr": 1.0, "gan": 1.0}
    assert seen == [(2, 1, 2), (8, 2, 8)]


def test_a_cpu_step_is_timed_with_the_one_thread_of_a_training(monkeypatch):
    threads = []
    monkeypatch.setattr(estimate, "use_threads", threads.append)
    monkeypatch.setattr(estimate, "time_step", lambda *_: {"psnr": 1.0})
    config = override(recipes.build("miniature_matrix"), TINY)
    assert estimate.seconds_per_step(Training("a", 0, config, (), ())) == {"psnr": 1.0}
    assert threads == [1]
