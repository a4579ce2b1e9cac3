"""A machine that will be taken: the notice is seen, the loop saves and leaves, Tune counts no failure."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray
from helpers.trials import FakeTune, new_context, photographs, run  # noqa: F401
from ray import tune

from orchestrator.provenance import ROOT
from orchestrator.results.trial_report import Status, TrialReport
from orchestrator.trial import preemption, trial
from trainers import checkpoint

NOTICE = json.dumps({"action": "terminate", "time": "2026-11-21T12:00:00Z"})


class Metadata(BaseHTTPRequestHandler):
    """EC2's instance metadata, version 2: a token first, then 404 until there is a notice."""

    def do_PUT(self):  # noqa: N802
        assert int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
        self.answer(200 if self.path == "/latest/api/token" else 404, "a-token")

    def do_GET(self):  # noqa: N802
        known = self.headers["X-aws-ec2-metadata-token"] == "a-token"
        there = self.path == "/latest/meta-data/spot/instance-action" and self.server.notice
        self.answer(401 if not known else 200 if there else 404, self.server.notice)
        self.server.asked.set()

    def answer(self, code, text):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        """Nothing."""


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.notice, server.asked = "", threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_flag_is_raised_by_the_first_notice_and_ray_is_told_once(service):
    told = []
    watch = preemption.NoticeWatcher(service.address, told.append, poll_s=0.01)
    thread = threading.Thread(target=watch.run)
    thread.start()
    assert service.asked.wait(30) and not watch.noticed()
    service.notice = NOTICE
    thread.join(30)
    assert watch.noticed() and told == [NOTICE]


def test_a_service_that_is_away_or_talks_nonsense_is_no_notice(service):
    watch = preemption.NoticeWatcher("http://127.0.0.1:9", lambda notice: None)
    assert watch.ask() is None
    service.notice = "<html>"
    assert preemption.NoticeWatcher(service.address, lambda notice: None).ask() is None


def test_only_machines_of_ec2_are_asked(monkeypatch, tmp_path):
    monkeypatch.delenv(preemption.ADDRESS, raising=False)
    monkeypatch.setattr(preemption, "VENDOR", tmp_path / "sys_vendor")
    assert preemption.address() is None
    (tmp_path / "sys_vendor").write_text("QEMU\n")
    assert preemption.address() is None
    (tmp_path / "sys_vendor").write_text("Amazon EC2\n")
    assert preemption.address() == "http://169.254.169.254"
    monkeypatch.setenv(preemption.ADDRESS, "http://127.0.0.1:1")
    assert preemption.address() == "http://127.0.0.1:1"


def test_a_noticed_trial_saves_reports_and_leaves(run, monkeypatch, tmp_path):  # noqa: F811
    run("warm")
    asked = iter([False, False, True])
    monkeypatch.setattr(trial.preemption, "preemption_flag", lambda: lambda: next(asked))
    reports = []

    def report(self, result, checkpoint=None):
        reports.append((TrialReport.from_result(result), checkpoint))

    monkeypatch.setattr(FakeTune, "report", report)
    with pytest.raises(preemption.Preempted):
        run("screen")
    last, pointer = reports[-1]
    assert last.status is Status.PREEMPTED and last.phase == "gan" and last.step == 2, (
        "no rung is entered by what was not measured"
    )
    assert last.ranked == reports[-2][0].ranked and last.latest == {}
    assert pointer.endswith("gan-00000003")
    checkpoint.verify(tmp_path / "runs" / pointer)


@pytest.mark.ray
@pytest.mark.slow
def test_tune_goes_on_from_the_checkpoint_and_counts_no_failure(tmp_path):
    def leave_once(config):
        here = tune.get_checkpoint()
        if here is None:
            with open(f"{config['folder']}/pointer", "w") as f:
                f.write("4")
            tune.report({"step": 4}, checkpoint=tune.Checkpoint.from_directory(config["folder"]))
            raise preemption.Preempted
        with here.as_directory() as folder:
            tune.report({"step": int(open(f"{folder}/pointer").read()) + 1})

    (tmp_path / "pointer").mkdir()
    here = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, object_store_memory=80_000_000, runtime_env=here
    )
    try:
        results = tune.Tuner(
            leave_once,
            param_space={"folder": str(tmp_path / "pointer")},
            run_config=tune.RunConfig(
                storage_path=str(tmp_path / "tune"),
                failure_config=tune.FailureConfig(max_failures=0),
                verbose=0,
            ),
        ).fit()
    finally:
        ray.shutdown()
    assert not results.errors and results[0].metrics["step"] == 5
