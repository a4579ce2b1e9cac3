"""The command of the perception-distortion plane passes its own options on to the plan."""

import pytest
from helpers.studies import plan_of_command

from datasets.errors import UserError
from experiments import perception_distortion


def test_a_dry_run_prints_the_plan_with_the_sense_of_alpha(tmp_path, monkeypatch, capsys):
    words = ["--seeds", "2", "--test", "faces=nowhere", "--alpha-on", "psnr"]
    said = plan_of_command(perception_distortion, words, tmp_path, monkeypatch, capsys)
    assert said.startswith("study perception_distortion, name perception_distortion: 4 trainings")
    assert "measured on faces; 2 seeds" in said and "alpha is on the PSNR network" in said


def test_too_few_alphas_are_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match="--alphas must be at least 3, two of which are the ends, but got 2"):
        plan_of_command(perception_distortion, ["--alphas", "2"], tmp_path, monkeypatch, capsys)
