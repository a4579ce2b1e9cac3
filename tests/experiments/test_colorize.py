"""The command of the colorize study prints its plan."""

from helpers.studies import plan_of_command


def test_a_dry_run_prints_the_plan(tmp_path, monkeypatch, capsys):
    said = plan_of_command("colorize", ["--miniature", "--seeds", "1"], tmp_path, monkeypatch, capsys)
    assert said.startswith("study colorize, name colorize-miniature: 3 trainings")
