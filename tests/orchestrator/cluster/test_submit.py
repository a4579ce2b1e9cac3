"""A command on a cluster, with the head, its jobs and Ray's client replaced."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from datasets.errors import UserError
from experiments.common.sweep_options import SweepOptions
from orchestrator.cluster import jobs, submit
from orchestrator.cluster.head import HeadInfo
from orchestrator.cluster.jobs import SubmittedJob
from orchestrator.cluster.known_clusters import KnownCluster

CLUSTER = KnownCluster("mine", "/x/cluster.yaml", "local", "ana", "", "192.0.2.1")
CONFIG = {
    "provider": {"type": "aws"},
    "max_workers": 2,
    "head_node_type": "head",
    "available_node_types": {"head": {}, "worker": {"resources": {"CPU": 8, "GPU": 1}}},
}
INFO = HeadInfo("a-token", "http://10.0.0.1:5000", {"UPSWEEP_STORAGE": "s3://b/upsweep"}, CONFIG)
REGISTERED = SubmittedJob("upsweep-1", "faces", "/srv/runs/faces")


class FakeHead:
    """A head that has the files of `files` (path -> base64) and no other."""

    files: dict[str, str] = {}

    def __init__(self, cluster):
        self.cluster, self.address, self.info = cluster, "192.0.2.1", INFO

    def run(self, command):
        path = command.split()[2]
        if command.startswith("test -e"):
            return "yes\n" if path in self.files else ""
        return self.files.get(path, "")


@dataclass
class Cluster:
    """The lines that were printed and the commands that were submitted."""

    lines: list[str]
    submitted: list[tuple[list[str], dict[str, str]]]

    def run(self, options, words):
        return submit.submit_and_follow(CLUSTER, "experiments/sweep.py", options, words, self.lines.append)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines, submitted = [], []

    def start(head, command, extra_files):
        submitted.append((command, extra_files))
        return SubmittedJob("upsweep-1", "", "")

    monkeypatch.setattr(submit, "Head", FakeHead)
    monkeypatch.setattr(FakeHead, "files", {})
    monkeypatch.setattr(submit.known_clusters, "remember", lambda cluster: None)
    monkeypatch.setattr(jobs, "submit", start)
    monkeypatch.setattr(jobs, "follow", lambda head, job, say: 0)
    monkeypatch.setattr(jobs, "reload", lambda head, job: REGISTERED)
    return Cluster(lines, submitted)


def test_a_command_gets_the_storage_and_mlflow_of_the_cluster(cluster):
    assert cluster.run(SweepOptions(), ["--trials", "3"]) == 0
    command = "python experiments/sweep.py --trials 3 --storage s3://b/upsweep".split()
    assert cluster.submitted == [([*command, "--tracking-uri", "http://10.0.0.1:5000"], {})]
    size = "3 nodes, 2 GPUs, 16 CPU cores"
    assert cluster.lines[0] == f"cluster 'mine', head 192.0.2.1, at most {size}; --local runs here"
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
    monkeypatch.setattr(FakeHead, "files", {folder: ""})
    cluster.run(SweepOptions(val=folder), ["--val", folder])
    assert len(cluster.submitted) == 1


def test_a_detached_command_is_submitted_without_that_option_and_not_followed(cluster, monkeypatch):
    monkeypatch.setattr(jobs, "follow", lambda *_: pytest.fail("it was followed"))
    assert cluster.run(SweepOptions(detach=True), ["--detach", "--trials", "3"]) == 0
    assert "--detach" not in cluster.submitted[0][0]
    assert "stop it with --stop NAME (job upsweep-1)" in cluster.lines[-1]


@pytest.mark.parametrize("is_running", [True, False])
def test_resume_follows_a_running_sweep_and_submits_another_job_otherwise(cluster, monkeypatch, is_running):
    monkeypatch.setattr(jobs, "list_jobs", lambda head, sweep: [replace(REGISTERED, sweep=sweep)])
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(None))
    monkeypatch.setattr(jobs, "newest_running", lambda client, known: known[0] if is_running else None)
    assert cluster.run(SweepOptions(resume="faces"), ["--resume", "faces"]) == 0
    assert len(cluster.submitted) == (not is_running)
    assert ("sweep 'faces' runs already as upsweep-1; following it" in cluster.lines) is is_running


def test_stop_submits_nothing(cluster, monkeypatch):
    monkeypatch.setattr(jobs, "stop", lambda head, sweep: f"sweep '{sweep}' stopped")
    assert cluster.run(SweepOptions(stop="faces"), ["--stop", "faces"]) == 0
    assert cluster.lines[-1] == "sweep 'faces' stopped" and cluster.submitted == []


def test_the_report_is_copied_here_after_a_sweep_that_ended_well(cluster, monkeypatch, tmp_path):
    assert cluster.run(SweepOptions(), []) == 0
    assert not (tmp_path / "runs").exists(), "a job without a report"
    files = {f"/srv/runs/faces/{name}": "aGVsbG8=" for name in submit.REPORT_FILES}
    monkeypatch.setattr(FakeHead, "files", files)
    assert cluster.run(SweepOptions(), []) == 0
    assert cluster.lines[-1].startswith("copied here: runs/faces/report.html; MLflow: ")
    names = sorted(path.name for path in (tmp_path / "runs" / "faces").iterdir())
    assert names == ["leaderboard.json", "report.html", "sweep.json"]
    assert (tmp_path / "runs" / "faces" / "report.html").read_text() == "hello"


def test_ctrl_c_ends_the_following_and_not_the_sweep(cluster, monkeypatch):
    monkeypatch.setattr(jobs, "follow", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cluster.run(SweepOptions(), []) == 0
    expected = "sweep 'faces' (--status, --resume or --stop faces) continues on the cluster"
    assert cluster.lines[-1] == f"\nno longer following; {expected}"
    monkeypatch.setattr(jobs, "reload", lambda head, job: None)
    cluster.run(SweepOptions(), [])
    assert cluster.lines[-1] == "\nno longer following; job upsweep-1 continues on the cluster"


def test_the_exit_code_is_the_job_s(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "follow", lambda head, job, say: 2)
    monkeypatch.setattr(FakeHead, "files", {f"/srv/runs/faces/{n}": "aGk=" for n in submit.REPORT_FILES})
    assert cluster.run(SweepOptions(), []) == 2
    assert not (tmp_path / "runs").exists()
