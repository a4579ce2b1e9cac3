"""Jobs on a cluster: registered, followed over a broken connection, stopped."""

import json
import subprocess
from contextlib import contextmanager, nullcontext

import pytest
from helpers.clusters import head_of_own_machines

from datasets.errors import UserError
from orchestrator.cluster import head, jobs
from orchestrator.cluster.jobs import SubmittedJob


def test_a_job_registers_its_sweep_on_the_head(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs.register_job("faces", tmp_path / "runs" / "faces", {})
    assert not (tmp_path / "upsweep").exists()
    jobs.register_job("faces", tmp_path / "runs" / "faces", {jobs.JOB_VARIABLE: "upsweep-1"})
    monkeypatch.setattr(head.Head, "run", lambda self, command: run_here(command))
    own = head_of_own_machines()
    job = SubmittedJob("upsweep-1", "faces", str(tmp_path / "runs" / "faces"))
    assert jobs.list_jobs(own) == jobs.list_jobs(own, "faces") == [job]
    assert jobs.list_jobs(own, "other") == []
    assert jobs.reload(own, SubmittedJob("upsweep-1", "", "")) == job
    assert jobs.reload(own, SubmittedJob("upsweep-2", "", "")) is None


@pytest.mark.parametrize("name", ["../../..", "/etc", "..", "a/b", "-o", ""])
def test_a_head_cannot_name_a_sweep_so_that_it_is_another_folder_here(monkeypatch, name):
    line = json.dumps({"id": "upsweep-1", "sweep": name, "folder": "/home/ubuntu"})
    monkeypatch.setattr(head.Head, "run", lambda self, command: line)
    assert jobs.list_jobs(head_of_own_machines()) == []


def run_here(command):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout


class Client:
    """Ray's client for one job that prints in pieces; None in `texts` is a broken connection."""

    def __init__(self, texts, code=0):
        self.texts, self.code, self.asked = list(texts), code, 0

    def get_job_status(self, job_id):
        over = self.asked >= len(self.texts) - 1
        return type("Status", (), {"value": ("FAILED" if self.code else "SUCCEEDED") if over else "RUNNING"})

    def get_job_logs(self, job_id):
        self.asked += 1
        text = self.texts[min(self.asked, len(self.texts)) - 1]
        if text is None:
            raise UserError("the connection broke")
        return text

    def get_job_info(self, job_id):
        return type("Info", (), {"driver_exit_code": self.code})


@pytest.mark.parametrize("code", [0, 2])
def test_output_is_printed_once_over_a_broken_connection(monkeypatch, code):
    client, shown = Client(["one\n", "one\ntwo\n", None, "one\ntwo\nthree\n"], code), []
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(client))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    assert jobs.follow(None, SubmittedJob("j", "", ""), shown.append) == code
    assert shown == ["one\n", "two\n", "three\n"]


def test_following_ends_when_the_head_does_not_answer_for_long(monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(
        jobs, "job_client", lambda head: (_ for _ in ()).throw(UserError("away; use --local"))
    )
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match="away"):
        jobs.follow(None, SubmittedJob("j", "", ""), lambda text: None)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError("Request failed with status code 401: Unauthorized"),
            "refuses the token in its head's ~/.ray/auth_token",
        ),
        (
            OSError("Connection refused"),
            "Ray does not run on the head .*Connection refused.*--local to run here",
        ),
    ],
)
def test_a_refused_connection_is_one_sentence(monkeypatch, error, sentence):
    import ray.job_submission

    own = head_of_own_machines()
    monkeypatch.setattr(head.Head, "tunnel", lambda self, *targets: nullcontext([1]))
    monkeypatch.setattr(head.Head, "info", head.HeadInfo("a-token", "", {}, {}))
    monkeypatch.setattr(ray.job_submission, "JobSubmissionClient", _raising(error))
    with pytest.raises(UserError, match=sentence):
        with jobs.job_client(own):
            pass


def _raising(error):
    def client(address, headers):
        assert headers == {"Authorization": "Bearer a-token"}
        raise error

    return client


class RunningClient:
    """Ray's client with one running job, b, which has the status `end` after it was asked to stop."""

    def __init__(self, end="STOPPED"):
        self.stopped, self.end = [], end

    def list_jobs(self):
        status = type("Status", (), {"value": "RUNNING"})
        return [type("Job", (), {"submission_id": "b", "status": status})]

    def stop_job(self, job_id):
        self.stopped.append(job_id)

    def get_job_status(self, job_id):
        return type("Status", (), {"value": self.end})

    def get_job_logs(self, job_id):
        return ""


def test_stop_ends_the_running_job_of_that_sweep_and_no_other(monkeypatch):
    client = RunningClient()
    listed = [
        SubmittedJob("a", "faces", "/x"),
        SubmittedJob("b", "faces", "/x"),
        SubmittedJob("c", "rooms", "/y"),
    ]
    monkeypatch.setattr(jobs, "list_jobs", lambda head, sweep: [j for j in listed if j.sweep == sweep])
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(client))
    text = jobs.stop(head_of_own_machines(), "faces")
    assert text == "sweep 'faces' stopped; resume it with: upsweep sweep --resume faces"
    assert client.stopped == ["b"]
    with pytest.raises(UserError, match="no sweep 'rooms' runs on cluster 'mine'"):
        jobs.stop(head_of_own_machines(), "rooms")


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_a_sweep_that_ended_before_the_stop_is_not_to_be_resumed(monkeypatch, end):
    monkeypatch.setattr(jobs, "list_jobs", lambda head, sweep: [SubmittedJob("b", sweep, "/x")])
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(RunningClient(end)))
    text = jobs.stop(head_of_own_machines(), "faces")
    assert text == f"sweep 'faces' ended by itself before it could be stopped: {end.lower()}"


class SubmitClient:
    def submit_job(self, **job):
        self.job = job


def test_a_submitted_job_is_the_command_with_the_working_tree_and_ctrl_c_as_its_stop(monkeypatch, tmp_path):
    client, bundled = SubmitClient(), []

    @contextmanager
    def bundle(extra_files):
        bundled.append(extra_files)
        yield tmp_path

    monkeypatch.setattr(jobs.bundle, "working_tree_bundle", bundle)
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(client))
    job = jobs.submit(head_of_own_machines(), ["python", "x.py", "--name", "a b"], {"submitted/s.py": "1"})
    assert bundled == [{"submitted/s.py": "1"}] and job.sweep == ""
    assert client.job["entrypoint"] == "python x.py --name 'a b'" and client.job["submission_id"] == job.id
    env = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "90", "UPSWEEP_JOB": job.id}
    assert client.job["runtime_env"] == {"working_dir": str(tmp_path), "env_vars": env}
