"""experiments/cluster.py without machines: what it refuses, how it waits, what it asks Ray for."""

import json
import os
import re
import sys
from contextlib import nullcontext

import pytest
import yaml

from datasets.errors import UserError
from experiments import cluster
from experiments.common import cli
from orchestrator.cluster import jobs, known_clusters, launcher
from orchestrator.cluster.known_clusters import KnownCluster


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A home and a temporary folder where no cluster was ever started."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(known_clusters.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def said(words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiments/cluster.py", *words])
    with pytest.raises(SystemExit) as end:
        cli.run(cluster.main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["upp"], "no verb 'upp'; known: .*; did you mean 'up'?"),
        (["status"], "no cluster was started from here: python experiments/cluster.py up"),
        (["up", "--file", "nowhere.yaml"], "--file nowhere.yaml does not exist"),
        (["up"], "cluster.yaml still names the storage CHANGE-ME: set UPSWEEP_STORAGE in it first"),
        (
            ["up", "--file", str(cli.ROOT / "cluster.local.yaml")],
            "cluster.local.yaml still names the storage",
        ),
    ],
)
def test_one_sentence_before_anything_is_started(bare, capsys, monkeypatch, words, sentence):
    monkeypatch.setattr(launcher, "_launcher", lambda *_: pytest.fail("Ray was called"))
    code, text = said(words, capsys, monkeypatch)
    assert code == cli.USER_MISTAKE
    assert re.search(sentence, text), text


OWN = {
    "cluster_name": "own",
    "provider": {"type": "local", "head_ip": "192.0.2.1", "worker_ips": ["192.0.2.2"]},
    "auth": {"ssh_user": "ana"},
    "setup_commands": ["echo 'export UPSWEEP_STORAGE=/shared/upsweep'"],
}


class Head:
    """A head whose nodes come one after the other."""

    def __init__(self, trace, address=""):
        self.trace, self.address = trace, "192.0.2.1"
        kinds = {"local.cluster.node": {"min_workers": 2}}
        self.facts = type("Facts", (), {"config": {"available_node_types": kinds}})

    def run(self, command, limit_s):
        return ""


@pytest.fixture
def joining(monkeypatch):
    """alive_nodes answers 1, 1, 2, 3 nodes."""
    counts = iter([1, 1, 2, 3])
    monkeypatch.setattr(launcher, "Head", Head)
    monkeypatch.setattr(launcher, "alive_nodes", lambda head: [{}] * next(counts))
    monkeypatch.setattr(launcher.time, "sleep", lambda s: None)


def test_up_waits_for_every_node_that_starts_by_itself_and_keeps_the_trace(bare, joining, monkeypatch):
    called, lines = [], []
    monkeypatch.setattr(launcher, "_launcher", lambda verb, file, config: called.append(verb) or 0)
    (bare / "own.yaml").write_text(yaml.safe_dump(OWN))
    assert launcher.up(bare / "own.yaml", 0, 100, lines.append) == 0
    assert called == ["up"] and lines == [f"{n} of 3 nodes alive" for n in (1, 2, 3)]
    assert json.loads((bare / ".ray/upsweep/own.json").read_text())["address"] == "192.0.2.1"


def test_up_and_down_end_where_ray_would_print_its_schema_or_wait_for_a_quarter_of_an_hour(bare, monkeypatch):
    monkeypatch.setattr(launcher, "_launcher", lambda *_: pytest.fail("Ray was called"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    cloud = OWN | {"provider": {"type": "aws", "region": "us-west-2"}}
    (bare / "cloud.yaml").write_text(yaml.safe_dump(cloud))
    with pytest.raises(UserError, match="needs AWS credentials and there are none: run aws configure$"):
        launcher.up(bare / "cloud.yaml", 0, 100, print)
    with pytest.raises(UserError, match="needs AWS credentials and there are none"):
        launcher.down(known_clusters.from_file(bare / "cloud.yaml"), print)
    (bare / "ssh").write_text("#!/bin/sh\necho 'ssh: Network is unreachable' >&2; exit 255\n")
    (bare / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bare}:{os.environ['PATH']}")
    (bare / "own.yaml").write_text(yaml.safe_dump(OWN))
    with pytest.raises(UserError, match="head 192.0.2.1 of own.yaml does not answer ssh as ana: is it on"):
        launcher.up(bare / "own.yaml", 0, 100, print)


def test_nodes_that_never_come_are_an_error_with_the_place_to_look(bare, joining, monkeypatch):
    clock = iter(range(0, 1000, 60))
    monkeypatch.setattr(launcher.time, "monotonic", lambda: next(clock))
    mine = KnownCluster("own", str(bare / "own.yaml"), "local", "ana", "", "192.0.2.1")
    with pytest.raises(UserError, match=r"1 of 3 nodes are alive after 50 s; .*monitor"):
        launcher.wait(mine, 0, 50, lambda line: None)


def test_only_machines_of_one_s_own_get_the_first_autoscaler(bare, monkeypatch):
    seen = []
    monkeypatch.delenv("RAY_UP_enable_autoscaler_v2", raising=False)
    monkeypatch.setattr(launcher.subprocess, "run", lambda words, env, cwd: seen.append(env) or _ended())
    for kind in ("local", "aws"):
        launcher._launcher("up", bare / "c.yaml", {"provider": {"type": kind}})
    assert [env.get("RAY_UP_enable_autoscaler_v2") for env in seen] == ["0", None]


def _ended():
    return type("Done", (), {"returncode": 0})


class Client:
    """Ray's, with one running job."""

    def __init__(self):
        self.stopped = []

    def list_jobs(self):
        status = type("Status", (), {"value": "RUNNING"})
        return [type("Job", (), {"submission_id": "b", "status": status})]

    def stop_job(self, job_id):
        self.stopped.append(job_id)

    def get_job_status(self, job_id):
        return type("Status", (), {"value": "STOPPED"})

    def get_job_logs(self, job_id):
        return ""


def test_stop_ends_the_running_job_of_that_sweep_and_no_other(monkeypatch):
    client = Client()
    known = [
        jobs.SubmittedJob("a", "faces", "/x"),
        jobs.SubmittedJob("b", "faces", "/x"),
        jobs.SubmittedJob("c", "rooms", "/y"),
    ]
    monkeypatch.setattr(jobs, "list_jobs", lambda head: known)
    monkeypatch.setattr(jobs, "job_client", lambda head: nullcontext(client))
    head = Head(KnownCluster("own", "/x/own.yaml", "local", "ana", ""))
    assert jobs.stop(head, "faces").startswith(
        "sweep 'faces' stopped; go on with: python experiments/sweep.py"
    )
    assert client.stopped == ["b"]
    with pytest.raises(UserError, match="no sweep 'rooms' runs on cluster 'own'"):
        jobs.stop(head, "rooms")
