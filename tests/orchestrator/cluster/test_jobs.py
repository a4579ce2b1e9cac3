"""Jobs on a cluster: registered, followed over a broken connection, stopped."""

from contextlib import contextmanager, nullcontext

import pytest

from datasets.errors import UserError
from orchestrator.cluster import jobs
from orchestrator.cluster.jobs import SubmittedJob

NOTE = "sweep faces has its files in /srv/runs/faces\n"
NAMED = SubmittedJob("j", "faces", "/srv/runs/faces")


class Site:
    """A cluster whose client is given."""

    label = "cluster 'mine'"

    def __init__(self, client):
        self.given = client

    def client(self):
        return nullcontext(self.given)


def test_a_job_names_its_sweep_at_the_start_of_its_output(tmp_path, capsys):
    jobs.announce("faces", tmp_path / "faces", {})
    assert capsys.readouterr().out == ""
    jobs.announce("faces", tmp_path / "faces", {jobs.JOB_VARIABLE: "upsweep-1"})
    output = f"a warning\n{capsys.readouterr().out}sweep other has its files in /x\n"
    assert jobs.named("j", output) == SubmittedJob("j", "faces", str(tmp_path / "faces"))
    assert jobs.named("j", "nothing yet") == SubmittedJob("j")


@pytest.mark.parametrize("name", ["../../..", "/etc", "..", "a/b", "-o", ""])
def test_a_job_cannot_name_a_sweep_so_that_it_is_another_folder_here(name):
    assert jobs.named("j", f"sweep {name} has its files in /home/ubuntu\n") == SubmittedJob("j")


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
        return type("Info", (), {"driver_exit_code": self.code, "message": "no disk for its files"})


@pytest.mark.parametrize("code", [0, 2])
def test_output_is_printed_once_over_a_broken_connection(monkeypatch, code):
    client, shown = Client(["one\n", f"one\n{NOTE}", None, f"one\n{NOTE}three\n"], code), []
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    assert jobs.follow(Site(client), SubmittedJob("j"), shown.append) == (code, NAMED)
    assert shown == ["one\n", NOTE, "three\n"]


@pytest.mark.parametrize(
    ("output", "code", "advice"),
    [
        (
            "Traceback\nModuleNotFoundError: No module named 'tyro'\n",
            1,
            "error: the cluster's Python lacks tyro: ",
        ),
        ("", None, "error: the job did not start: no disk for its files\n"),
        ("error: --trials must be 0 or more\n", 2, ""),
    ],
)
def test_a_job_that_could_not_run_ends_with_advice(output, code, advice):
    shown, client = [], Client([output], code)
    client.get_job_status = lambda job_id: type("Status", (), {"value": "FAILED"})
    assert jobs.follow(Site(client), SubmittedJob("j"), shown.append)[0] == (code or jobs.FAILED)
    assert "".join(shown).removeprefix(output).startswith(advice) and (advice or "".join(shown) == output)


def test_ctrl_c_while_following_tells_the_sweep():
    def say(text):
        raise KeyboardInterrupt

    with pytest.raises(jobs.Unfollowed) as end:
        jobs.follow(Site(Client([NOTE])), SubmittedJob("j"), say)
    assert end.value.job == NAMED


def test_following_ends_when_the_head_does_not_answer_for_long(monkeypatch):
    clock = iter(range(0, 1000, 20))
    site = Site(None)
    monkeypatch.setattr(site, "client", lambda: (_ for _ in ()).throw(UserError("away; use --local")))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match="away"):
        jobs.follow(site, SubmittedJob("j"), lambda text: None)


class RunningClient:
    """Ray's client; a sweep's two running jobs, of which the newer is b, have status `end` after a stop."""

    outputs = {"a": NOTE, "b": NOTE, "c": NOTE.replace("faces", "rooms"), "d": NOTE, "e": "no sweep"}

    def __init__(self, end="STOPPED"):
        self.stopped, self.end = [], end

    def list_jobs(self):
        def job(submission_id, status, start):
            status = type("Status", (), {"value": status})
            return type("Job", (), {"submission_id": submission_id, "status": status, "start_time": start})

        rows = [("b", "RUNNING", 20), ("a", "RUNNING", 10), ("c", "SUCCEEDED", 30), ("d", "FAILED", 40)]
        return [job(*row) for row in [*rows, ("e", "PENDING", None), (None, "RUNNING", 60)]]

    def stop_job(self, job_id):
        self.stopped.append(job_id)

    def get_job_status(self, job_id):
        return type("Status", (), {"value": self.end})

    def get_job_logs(self, job_id):
        return self.outputs[job_id]


def test_stop_ends_the_newest_running_job_of_that_sweep_and_no_other():
    client = RunningClient()
    assert [job.id for job in jobs.running(client)] == ["e", "a", "b"]
    text = jobs.stop(Site(client), "faces")
    assert text == "sweep 'faces' stopped; resume it with: upsweep sweep --resume faces"
    assert client.stopped == ["b"]
    with pytest.raises(UserError, match="no sweep 'rooms' runs on cluster 'mine'"):
        jobs.stop(Site(client), "rooms")


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_a_sweep_that_ended_before_the_stop_is_not_to_be_resumed(end):
    text = jobs.stop(Site(RunningClient(end)), "faces")
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
    job = jobs.submit(Site(client), ["python", "x.py", "--name", "a b"], {"submitted/s.py": b"1"})
    assert bundled == [{"submitted/s.py": b"1"}] and job.sweep == ""
    assert client.job["entrypoint"] == "python x.py --name 'a b'" and client.job["submission_id"] == job.id
    env = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "90", "UPSWEEP_JOB": job.id}
    assert client.job["runtime_env"] == {"working_dir": str(tmp_path), "env_vars": env}


def test_a_head_that_has_just_started_is_asked_again(monkeypatch, tmp_path):
    answers = [UserError("HTTP 500: No available agent to submit job"), None, UserError("no disk")]

    class Starting:
        def submit_job(self, **job):
            if (answer := answers.pop(0)) is not None:
                raise answer

    monkeypatch.setattr(jobs.bundle, "working_tree_bundle", lambda extra_files: nullcontext(tmp_path))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    assert jobs.submit(Site(Starting()), ["python", "x.py"], {}).id
    with pytest.raises(UserError, match="no disk"):
        jobs.submit(Site(Starting()), ["python", "x.py"], {})
