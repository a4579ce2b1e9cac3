"""The command of the edges_to_photo study prints its plan."""

from helpers.studies import plan_of_command


def test_a_dry_run_prints_the_plan(tmp_path, monkeypatch, capsys):
    said = plan_of_command("edges_to_photo", ["--miniature", "--seeds", "1"], tmp_path, monkeypatch, capsys)
    assert said.startswith("study edges_to_photo, name edges_to_photo-miniature: 12 trainings")
