"""The command of the perception-distortion plane passes its own options on to the plan."""

from helpers.studies import exit_code, plan_of_command


def test_a_dry_run_prints_the_plan_with_the_sense_of_alpha(tmp_path, monkeypatch, capsys):
    words = ["--seeds", "2", "--test", "faces=nowhere", "--alpha-on", "psnr"]
    said = plan_of_command("perception_distortion", words, tmp_path, monkeypatch, capsys)
    assert said.startswith("study perception_distortion, name perception_distortion: 4 trainings")
    assert "measured on faces; 2 seeds" in said and "alpha is on the PSNR network" in said


def test_too_few_alphas_are_refused(tmp_path, monkeypatch, capsys):
    words = ["--alphas", "2", "--dry-run", "--storage", str(tmp_path)]
    assert exit_code("perception_distortion", words, monkeypatch) == 2
    message = "error: --alphas must be at least 3, two of which are the ends, but got 2\n"
    assert capsys.readouterr().err == message
