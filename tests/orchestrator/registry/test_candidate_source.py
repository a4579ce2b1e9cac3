"""The choice of a candidate, without torch or MLflow."""

from orchestrator.registry.candidate_source import CandidateSource


def test_the_work_dir_is_the_storage_or_for_a_url_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSWEEP_WORK_DIR", str(tmp_path / "work"))
    assert CandidateSource(str(tmp_path)).work_dir == tmp_path
    assert CandidateSource("s3://bucket/runs").work_dir == tmp_path / "work"
    monkeypatch.delenv("UPSWEEP_WORK_DIR")
    monkeypatch.chdir(tmp_path)
    assert CandidateSource("s3://bucket/runs").work_dir == tmp_path / "runs"
