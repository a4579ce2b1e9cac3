"""The command of the dataset_matrix study prints its plan."""

from helpers.studies import plan_of_command


def test_a_dry_run_prints_the_plan(tmp_path, monkeypatch, capsys):
    said = plan_of_command("dataset_matrix", ["--miniature", "--seeds", "1"], tmp_path, monkeypatch, capsys)
    assert said.startswith("study dataset_matrix, name dataset_matrix-miniature: 3 trainings")
