"""A cluster's life: up, wait, status, ui, down, without machines and without Ray's launcher."""

import json
import threading
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.clusters import CLOUD, OWN, fake_command, laptop, write_cluster_file  # noqa: F401

from datasets.errors import UserError
from orchestrator.cluster import jobs, known_clusters, launcher
from orchestrator.cluster.head import Head, HeadInfo
from orchestrator.cluster.known_clusters import KnownCluster

KINDS = {"local.cluster.node": {"min_workers": 2, "max_workers": 2}}
CONFIG = {"provider": {"type": "local"}, "max_workers": 2, "available_node_types": KINDS}
CONFIG["head_node_type"] = "local.cluster.node"
CLUSTER = KnownCluster("mine", "/x/own.yaml", "local", "ana", "", "192.0.2.1")


class FakeHead:
    """A head that answers every command with nothing."""

    info = HeadInfo("a-token", "http://10.0.0.1:5000", {"UPSWEEP_STORAGE": "/shared"}, CONFIG)
    storage, tracking_uri = Head.storage, Head.tracking_uri
    commands: list[tuple[str, str]] = []
    tunnels: list[tuple[str, ...]] = []

    def __init__(self, cluster, address=""):
        self.cluster, self.address = cluster, address or "192.0.2.1"

    def client(self):
        return nullcontext()

    def run(self, command, limit_s=0):
        self.commands.append((self.address, command))
        return ""

    @contextmanager
    def tunnel(self, *targets, ports=()):
        self.tunnels.append(targets)
        yield list(ports)


@pytest.fixture
def head(monkeypatch):
    monkeypatch.setattr(launcher, "Head", FakeHead)
    monkeypatch.setattr(FakeHead, "commands", [])
    monkeypatch.setattr(FakeHead, "tunnels", [])
    return FakeHead


@pytest.fixture
def joining(head, monkeypatch):
    """alive_nodes returns 1, 1, 2, 3 nodes."""
    counts = iter([1, 1, 2, 3])
    monkeypatch.setattr(launcher, "alive_nodes", lambda head: [{}] * next(counts))
    monkeypatch.setattr(launcher.time, "sleep", lambda s: None)


@pytest.fixture
def ray(monkeypatch):
    """The verbs with which Ray's launcher was called; it ends well."""
    called = []
    monkeypatch.setattr(launcher, "_ray", lambda verb, file, config: called.append(verb) or 0)
    return called


def test_up_waits_for_every_node_that_starts_at_once_and_remembers_the_cluster(laptop, joining, ray):
    lines = []
    path = write_cluster_file(laptop, OWN)
    assert launcher.up(path, 0, 100, lines.append) == 0
    assert ray == ["up"] and lines == [f"{n} of 3 nodes alive" for n in (1, 2, 3)]
    assert json.loads((laptop / ".ray/upsweep/mine.json").read_text())["address"] == "192.0.2.1"


def test_up_and_down_end_before_ray_if_there_are_no_credentials(laptop, monkeypatch, ray):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    path = write_cluster_file(laptop, CLOUD | {"setup_commands": []})
    with pytest.raises(UserError, match="needs AWS credentials and there are none: run aws configure$"):
        launcher.up(path, 0, 100, print)
    with pytest.raises(UserError, match="needs AWS credentials and there are none"):
        launcher.down(known_clusters.from_file(path), print)
    assert ray == []


def test_up_ends_before_ray_if_the_head_does_not_answer_ssh(laptop, monkeypatch, ray):
    fake_command(laptop, monkeypatch, "ssh", "echo 'ssh: Network is unreachable' >&2; exit 255")
    message = "head 192.0.2.1 of cluster.yaml does not answer ssh as ana: check that it is on, reachable, and"
    with pytest.raises(UserError, match=message):
        launcher.up(write_cluster_file(laptop, OWN), 0, 100, print)
    assert ray == []


def test_a_failure_of_ray_up_is_an_error(laptop, head, monkeypatch):
    monkeypatch.setattr(launcher, "_ray", lambda *_: 7)
    with pytest.raises(UserError, match="ray up cluster.yaml ended with status 7; its last lines"):
        launcher.up(write_cluster_file(laptop, OWN), 0, 100, print)


def test_nodes_that_never_join_are_an_error_with_the_log_to_read(joining, monkeypatch):
    clock = iter(range(0, 1000, 60))
    monkeypatch.setattr(launcher.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match=r"1 of 3 nodes are alive after 50 s; .*ray exec /.*yaml .*monitor"):
        launcher.wait(CLUSTER, 0, 50, lambda line: None)


class Nodes(BaseHTTPRequestHandler):
    """Ray's dashboard: two nodes, of which one is alive, for whoever has the token."""

    def do_GET(self):
        allowed = self.headers["Authorization"] == "Bearer a-token"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        rows = [{"state": "ALIVE", "node_id": "a"}, {"state": "DEAD", "node_id": "b"}]
        self.wfile.write(json.dumps({"data": {"result": {"result": rows}}}).encode())

    def log_message(self, *_):
        pass


def test_nodes_are_those_that_the_dashboard_counts_as_alive(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nodes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(FakeHead, "tunnel", lambda self, target: nullcontext([server.server_port]))
    try:
        assert [row["node_id"] for row in launcher.alive_nodes(FakeHead(CLUSTER))] == ["a"]
        monkeypatch.setattr(FakeHead, "info", HeadInfo("another", "", {}, CONFIG))
        with pytest.raises(UserError, match=r"refuses the token .*401.*restart Ray with upsweep"):
            launcher.alive_nodes(FakeHead(CLUSTER))
    finally:
        server.shutdown()
        server.server_close()


def test_status_lists_nodes_storage_mlflow_and_running_sweeps(head, monkeypatch):
    rows = [{"resources_total": {"CPU": 4.0, "GPU": 1.0}}, {"resources_total": {"memory": 1e9}}]
    monkeypatch.setattr(launcher, "alive_nodes", lambda head: rows)
    running = [jobs.SubmittedJob("a", "faces", "/x"), jobs.SubmittedJob("b")]
    monkeypatch.setattr(jobs, "running", lambda client: running)
    assert launcher.status(CLUSTER) == [
        "cluster 'mine' (local), head 192.0.2.1",
        "nodes    2 nodes, 1 GPUs, 4 CPU cores now; at most 3 nodes",
        "storage  /shared",
        "MLflow   http://10.0.0.1:5000 (upsweep cluster ui)",
        "runs     faces (a)",
        "runs     a command (b)",
    ]


def test_ui_forwards_both_pages_until_ctrl_c(head, monkeypatch):
    monkeypatch.setattr(launcher, "is_open", lambda port: port == 5000)  # something else has that port here
    monkeypatch.setattr(launcher, "free_port", lambda: 40000)
    monkeypatch.setattr(launcher.time, "sleep", lambda s: (_ for _ in ()).throw(KeyboardInterrupt))
    lines = []
    assert launcher.ui(CLUSTER, lines.append) == 0
    assert head.tunnels == [("10.0.0.1:5000", "127.0.0.1:8265")]
    assert lines[0].startswith("MLflow at http://127.0.0.1:40000, Ray at http://127.0.0.1:8265 (Ctrl-C")


def test_ui_without_mlflow_is_an_error(head, monkeypatch):
    monkeypatch.setattr(FakeHead, "info", HeadInfo("a-token", "", {}, CONFIG))
    with pytest.raises(UserError, match="MLflow does not run on the head of cluster 'mine': start it with"):
        launcher.ui(CLUSTER, print)


def test_down_stops_mlflow_and_ray_everywhere_and_forgets_the_cluster(laptop, head, ray):
    cluster = known_clusters.from_file(write_cluster_file(laptop, OWN))
    known_clusters.remember(cluster, laptop)
    lines = []
    assert launcher.down(cluster, lines.append) == 0
    stop_ray = launcher.STOP_RAY
    assert head.commands == [
        ("192.0.2.1", launcher.STOP_MLFLOW),
        ("192.0.2.2", stop_ray),
        ("192.0.2.1", stop_ray),
    ]
    assert ray == ["down"] and lines[-1] == "cluster 'mine' is down"
    assert known_clusters.latest(laptop) is None


def test_down_without_an_answer_from_the_head_still_runs_ray_down(laptop, head, ray, monkeypatch):
    def refuse(self, command, limit_s):
        raise UserError("its head does not answer: start it again")

    monkeypatch.setattr(FakeHead, "run", refuse)
    lines = []
    assert launcher.down(known_clusters.from_file(write_cluster_file(laptop, OWN)), lines.append) == 0
    assert lines == ["its head does not answer", "cluster 'mine' is down"] and ray == ["down"]


def test_only_machines_of_one_s_own_get_the_first_autoscaler(laptop, monkeypatch):
    seen = []
    monkeypatch.delenv("RAY_UP_enable_autoscaler_v2", raising=False)
    ended = type("Done", (), {"returncode": 0})
    monkeypatch.setattr(launcher.subprocess, "run", lambda words, env, cwd: seen.append(env) or ended)
    for kind in ("local", "aws"):
        launcher._ray("up", laptop / "c.yaml", {"provider": {"type": kind}})
    assert [env.get("RAY_UP_enable_autoscaler_v2") for env in seen] == ["0", None]
