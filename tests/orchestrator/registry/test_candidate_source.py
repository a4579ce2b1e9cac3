"""The choice of a candidate, without torch or MLflow."""

from orchestrator.registry.candidate_source import CandidateSource


def test_the_work_dir_is_the_storage_or_for_a_url_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSWEEP_WORK_DIR", str(tmp_path / "work"))
    assert CandidateSource(str(tmp_path)).work_dir == tmp_path
    assert CandidateSource("s3://bucket/runs").work_dir == tmp_path / "work"
    monkeypatch.delenv("UPSWEEP_WORK_DIR")
    monkeypatch.chdir(tmp_path)
    assert CandidateSource("s3://bucket/runs").work_dir == tmp_path / "runs"


def test_the_command_and_the_folder_of_a_candidate_can_be_pasted():
    assert CandidateSource().command("mine") == "upsweep promote mine"
    assert CandidateSource().folder("mine") == "runs/mine"
    moved = CandidateSource("/my disk", "mine", model="upsweep-x", gate="rooms.zip")
    assert moved.command("mine") == "upsweep promote mine --storage '/my disk' --model upsweep-x"
    assert CandidateSource(run="abc").command("mine") == "upsweep promote --run abc"
    folder = CandidateSource(checkpoint="runs/train/x", model="m")
    assert folder.command("x") == "upsweep promote --checkpoint runs/train/x --model m"
    assert folder.folder("x") == "runs/train/x"
    assert CandidateSource(run="abc").folder("mine") == CandidateSource("s3://b").folder("mine") == ""


def test_gate_images_are_the_sweeps_own_or_named():
    assert CandidateSource().other_gate("") == CandidateSource(gate="faces").other_gate("faces") == ""
    said = CandidateSource(gate="rooms.zip").other_gate("")
    assert said == "rooms.zip, named with --gate, not the sweep's own"
