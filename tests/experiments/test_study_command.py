"""The command line of the studies: options, recipes, and plans at full scale."""

import re

import pytest

from experiments.common import study_command
from experiments.recipes import review
from orchestrator.studies import estimate
from orchestrator.studies.kinds import STUDIES

FULL = {
    "dataset_matrix": (15, 200_000),
    "colorize": (15, 200_000),
    "edges_to_photo": (60, 200_000),
    "upsampler_study": (105, 1_875),
    "perception_distortion": (10, 1_000_000),
    "srgan_review": (30, 1_000_000),
    "srcnn_vs_esrgan": (10, 1_400_000),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_a_dry_run_at_full_scale_prints_trainings_images_and_hours(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "seconds_per_step", lambda training: {"psnr": 0.1, "gan": 0.36})
    options = study_command.parse(kind, argv=["--dry-run", "--storage", str(tmp_path)])
    is_table = kind in review.STUDIES
    more = {"arms": review.arms(kind, options.config, False)} if is_table else {}
    assert study_command.run(kind, options, **more) == 0
    said = capsys.readouterr().out
    trainings, steps = FULL[kind]
    assert f"{trainings} trainings" in said and f"{steps:>9,} steps" in said
    assert re.search(r"in all about [\d,.]+ \S*hours of training on", said) and "once it is prepared" in said
    assert not (tmp_path / "studies").exists()


def test_the_comparison_is_planned_on_its_own_test_sets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "seconds_per_step", lambda training: {"psnr": 0.1, "gan": 0.36})
    options = study_command.parse("srcnn_vs_esrgan", argv=["--dry-run", "--storage", str(tmp_path)])
    study_command.run("srcnn_vs_esrgan", options, arms=review.arms("srcnn_vs_esrgan", options.config, False))
    said = capsys.readouterr().out
    assert "tested on div2k, ffhq, selfie2anime; verdicts on div2k" in said
    assert "of which the first 1,000 by key" in said


def test_every_setting_is_a_flag_and_the_recipe_follows_the_scale():
    small = study_command.parse("dataset_matrix", argv=["--miniature", "--run.gan-steps", "7"])
    assert (small.config.recipe, small.config.run.gan_steps) == ("miniature_matrix", 7)
    assert study_command.parse("dataset_matrix", argv=[]).config.recipe == "srgan_8"
    other = study_command.parse("dataset_matrix", argv=["--recipe", "srgan_leftthomas"])
    assert other.config.recipe == "srgan_leftthomas"


@pytest.mark.parametrize("field", ["--kind", "--command"])
def test_kind_and_command_are_no_flags(field, capsys):
    with pytest.raises(SystemExit):
        study_command.parse("colorize", argv=[field, "other"])
    with pytest.raises(SystemExit):
        study_command.parse("colorize", argv=["--help"])
    assert f"{field} " not in capsys.readouterr().out


def test_a_request_has_the_commands_kind_name_and_address(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["colorize.py", "--seeds", "2"])
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    asked = study_command.request_of(
        "colorize", study_command.parse("colorize", argv=["--miniature", "--storage", str(tmp_path)])
    )
    assert (asked.kind, asked.name, asked.address) == ("colorize", "colorize-miniature", "10.0.0.1:6379")
    assert asked.command == "python experiments/colorize.py --seeds 2"
    assert asked.folder == tmp_path / "studies" / "colorize-miniature"
    here = study_command.request_of("colorize", study_command.parse("colorize", argv=["--local"]))
    assert here.address == "" and asked.seeds == 5
