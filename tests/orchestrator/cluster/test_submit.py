"""A command on a cluster, with the head, its jobs and Ray's client replaced."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from datasets.errors import UserError
from experiments.common.sweep_options import SweepOptions
from experiments.promote import PromoteOptions
from orchestrator.cluster import jobs, submit
from orchestrator.cluster.jobs import SubmittedJob

REGISTERED = SubmittedJob("upsweep-1", "faces", "/srv/runs/faces")


class Site:
    """A cluster that has the files of `files` (path -> content) and no other."""

    label, ui_hint = "cluster 'mine'", "; MLflow: upsweep cluster ui"
    storage, tracking_uri = "s3://b/upsweep", "http://10.0.0.1:5000"
    files: dict[str, bytes] = {}

    def describe(self):
        return "cluster 'mine', 3 nodes; --local runs here"

    def client(self):
        return nullcontext(None)

    def exists(self, path, storage):
        return path in self.files

    def read(self, folder, name, storage):
        return self.files.get(f"{folder}/{name}")


@dataclass
class Cluster:
    """The lines that were printed and the commands that were submitted."""

    lines: list[str]
    submitted: list[tuple[list[str], dict[str, str]]]

    def run(self, options, words):
        return submit.submit_and_follow(Site(), "experiments/sweep.py", options, words, self.lines.append)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines, submitted = [], []

    def start(head, command, extra_files):
        submitted.append((command, extra_files))
        return SubmittedJob("upsweep-1")

    monkeypatch.setattr(Site, "files", {})
    monkeypatch.setattr(jobs, "submit", start)
    monkeypatch.setattr(jobs, "follow", lambda site, job, say: (0, REGISTERED))
    return Cluster(lines, submitted)


def test_a_command_gets_the_storage_and_mlflow_of_the_cluster(cluster):
    assert cluster.run(SweepOptions(), ["--trials", "3"]) == 0
    command = "python experiments/sweep.py --trials 3 --storage s3://b/upsweep".split()
    assert cluster.submitted == [([*command, "--tracking-uri", "http://10.0.0.1:5000"], {})]
    assert cluster.lines[0] == "cluster 'mine', 3 nodes; --local runs here"
    assert "submitted as upsweep-1: it runs on the cluster" in cluster.lines[1]


def test_given_storage_and_mlflow_are_kept(cluster):
    words = ["--storage", "s3://c", "--tracking-uri", "http://m"]
    cluster.run(SweepOptions(storage="s3://c", tracking_uri="http://m"), words)
    assert cluster.submitted == [(["python", "experiments/sweep.py", *words], {})]


def test_nothing_is_submitted_if_the_cluster_cannot_read_the_images(cluster, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    folder = str(tmp_path / "photos")
    with pytest.raises(UserError, match=f"--val {folder} is a folder of this machine"):
        cluster.run(SweepOptions(val=folder), ["--val", folder])
    assert cluster.submitted == []
    monkeypatch.setattr(Site, "files", {folder: b""})
    cluster.run(SweepOptions(val=folder), ["--val", folder])
    assert len(cluster.submitted) == 1


def test_a_detached_command_is_submitted_without_that_option_and_not_followed(cluster, monkeypatch):
    monkeypatch.setattr(jobs, "follow", lambda *_: pytest.fail("it was followed"))
    assert cluster.run(SweepOptions(detach=True), ["--detach", "--trials", "3"]) == 0
    assert "--detach" not in cluster.submitted[0][0]
    assert "stop it with --stop NAME (job upsweep-1)" in cluster.lines[-1]


@pytest.mark.parametrize("is_running", [True, False])
def test_resume_follows_a_running_sweep_and_submits_another_job_otherwise(cluster, monkeypatch, is_running):
    job = replace(REGISTERED, sweep="faces") if is_running else None
    monkeypatch.setattr(jobs, "newest_running", lambda client, sweep: job)
    assert cluster.run(SweepOptions(resume="faces"), ["--resume", "faces"]) == 0
    assert len(cluster.submitted) == (not is_running)
    assert ("sweep 'faces' runs already as upsweep-1; following it" in cluster.lines) is is_running


def test_a_password_in_the_command_is_refused(cluster):
    with pytest.raises(UserError, match="list of jobs would show"):
        cluster.run(SweepOptions(tracking_uri="http://***@m"), ["--tracking-uri", "http://***@m"])
    assert cluster.submitted == []


def test_a_cluster_without_mlflow_asks_for_its_address_but_not_to_resume(cluster, monkeypatch):
    monkeypatch.setattr(Site, "tracking_uri", "")
    with pytest.raises(UserError, match="pass --tracking-uri http://HOST:5000, an address that the cluster"):
        cluster.run(SweepOptions(), [])
    monkeypatch.setattr(jobs, "newest_running", lambda client, sweep: None)
    without = ({"resume": "faces"}, {"status": "faces"}, {"storage": "/nfs"}, {"dry_run": True})
    for options in [SweepOptions(**changes) for changes in without] + [PromoteOptions()]:
        assert cluster.run(options, ["--x"]) == 0
    assert not any("--tracking-uri" in command for command, _ in cluster.submitted)


@pytest.mark.parametrize("words", [["--jobs", "https://***@h", "--detach"], ["--jobs=https://***@h"]])
def test_what_concerns_the_laptop_alone_is_not_sent(cluster, words):
    cluster.run(SweepOptions(detach=True), [*words, "--trials", "3"])
    command = "python experiments/sweep.py --trials 3 --storage s3://b/upsweep".split()
    assert cluster.submitted[0][0][: len(command)] == command


def test_stop_submits_nothing(cluster, monkeypatch):
    monkeypatch.setattr(jobs, "stop", lambda site, sweep: f"sweep '{sweep}' stopped")
    assert cluster.run(SweepOptions(stop="faces"), ["--stop", "faces"]) == 0
    assert cluster.lines[-1] == "sweep 'faces' stopped" and cluster.submitted == []


def test_the_report_is_copied_here_after_a_sweep_that_ended_well(cluster, monkeypatch, tmp_path):
    assert cluster.run(SweepOptions(), []) == 0
    assert not (tmp_path / "runs").exists(), "a job without a report"
    files = {f"/srv/runs/faces/{name}": b"hello" for name in submit.REPORT_FILES}
    monkeypatch.setattr(Site, "files", files)
    assert cluster.run(SweepOptions(), []) == 0
    assert cluster.lines[-1].startswith("copied here: runs/faces/report.html; MLflow: ")
    names = sorted(path.name for path in (tmp_path / "runs" / "faces").iterdir())
    assert names == ["leaderboard.json", "report.html", "sweep.json"]
    assert (tmp_path / "runs" / "faces" / "report.html").read_text() == "hello"


@pytest.mark.parametrize("job", [REGISTERED, SubmittedJob("upsweep-1")])
def test_ctrl_c_ends_the_following_and_not_the_sweep(cluster, monkeypatch, job):
    monkeypatch.setattr(jobs, "follow", lambda *_: (_ for _ in ()).throw(jobs.Unfollowed(job)))
    assert cluster.run(SweepOptions(), []) == 0
    named = "sweep 'faces' (--status, --resume or --stop faces)" if job.sweep else "job upsweep-1"
    assert cluster.lines[-1] == f"\nno longer following; {named} continues on the cluster"


def test_the_exit_code_is_the_job_s(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "follow", lambda site, job, say: (2, REGISTERED))
    monkeypatch.setattr(Site, "files", {f"/srv/runs/faces/{n}": b"hi" for n in submit.REPORT_FILES})
    assert cluster.run(SweepOptions(), []) == 2
    assert not (tmp_path / "runs").exists()
