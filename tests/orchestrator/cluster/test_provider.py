"""Which cluster a command finds, and what it says where there is none or it does not answer."""

import json
import os
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from datasets.errors import UserError
from orchestrator.cluster import connect, known_clusters, provider, target
from orchestrator.cluster.known_clusters import KnownCluster

OWN = {
    "cluster_name": "mine",
    "provider": {"type": "local", "head_ip": "192.0.2.1", "worker_ips": ["192.0.2.2"]},
    "auth": {"ssh_user": "ana", "ssh_private_key": "~/.ssh/own"},
}
CLOUD = {
    "cluster_name": "mine",
    "provider": {"type": "aws", "region": "us-west-2"},
    "auth": {"ssh_user": "ubuntu"},
}


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    """An empty home, an empty temporary folder and a checkout without cluster files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(known_clusters.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "checkout").mkdir()
    return tmp_path


def put(laptop, config, name="cluster.yaml"):
    path = laptop / "checkout" / name
    path.write_text(yaml.safe_dump(config))
    return path


def cache(laptop, config, name="ray-config-1"):
    """What `ray up` leaves."""
    (laptop / name).write_text(json.dumps({"_version": 1, "config": config}))


def test_without_ray_up_there_is_no_cluster(laptop):
    put(laptop, OWN)
    cache(laptop, OWN | {"cluster_name": "another"})
    cache(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "192.0.2.9"}}, "ray-config-2")
    (laptop / "ray-config-3").write_text("torn {")
    assert known_clusters.latest(laptop / "checkout") is None


def test_the_trace_of_ray_up_is_found_and_kept_over_a_reboot_until_it_is_forgotten(laptop):
    path = put(laptop, CLOUD)
    cache(laptop, CLOUD | {"auth": CLOUD["auth"] | {"ssh_private_key": "~/.ssh/ray.pem"}})
    found = known_clusters.latest(laptop / "checkout")
    assert found == KnownCluster("mine", str(path), "aws", "ubuntu", str(laptop / ".ssh/ray.pem"))
    known_clusters.remember(found, laptop / "checkout")
    (laptop / "ray-config-1").unlink()
    assert known_clusters.latest(laptop / "checkout") == found
    assert known_clusters.latest(laptop / "another") is None, "of this checkout, not of its neighbour"
    known_clusters.forget(found)
    assert known_clusters.latest(laptop / "checkout") is None


def test_of_two_clusters_the_one_started_last_is_meant(laptop):
    put(laptop, CLOUD)
    put(laptop, OWN | {"cluster_name": "own"}, "cluster.local.yaml")
    cache(laptop, CLOUD)
    cache(laptop, OWN | {"cluster_name": "own"}, "ray-config-2")
    os.utime(laptop / "ray-config-1", (1, 1))
    assert known_clusters.latest(laptop / "checkout").name == "own"
    os.utime(laptop / "ray-config-1", (2**32, 2**32))
    assert known_clusters.latest(laptop / "checkout").name == "mine"


class Bare:
    local, address, storage, tracking_uri = False, "", "./runs", ""


@pytest.mark.parametrize(
    ("text", "what"),
    [("a: [", "cannot be read"), ("a: 1", "lacks cluster_name, provider, auth"), ("", "lacks")],
)
def test_a_file_that_is_no_cluster_file_is_named(laptop, text, what):
    (laptop / "cluster.mine.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"cluster.mine.yaml .*{what}.*use --local to run here"):
        known_clusters.latest(laptop)


def test_local_address_and_environment_never_ask_for_a_trace(monkeypatch):
    monkeypatch.setattr(known_clusters, "latest", lambda: pytest.fail("a trace was looked for"))
    asked = []
    monkeypatch.setattr(connect, "check_listening", asked.append)
    named = [{"RAY_ADDRESS": "h:1"}, {"UPSWEEP_LOCAL": "1"}]
    for changes, env in [({"local": True}, {}), ({"address": "h:1"}, {}), *(({}, env) for env in named)]:
        options = Bare()
        vars(options).update(changes)
        assert target.elsewhere("x.py", options, [], env) is None
    assert asked == ["h:1", "h:1"], "seconds before Ray and torch are imported"


def test_who_listens_is_asked_of_a_sweep_that_needs_it(monkeypatch):
    options = Bare()
    options.address = "127.0.0.1:1"
    with pytest.raises(UserError, match="no Ray cluster answers at 127.0.0.1:1: .*; use --local to run here"):
        target.elsewhere("x.py", options, [], {})
    options.status = "mine"
    assert target.elsewhere("x.py", options, [], {}) is None


def test_a_ray_of_this_machine_comes_before_a_trace_and_a_dead_one_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.setattr(known_clusters, "latest", lambda: None)
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:6379\n")
    monkeypatch.setattr(connect, "check_listening", lambda address: None)
    assert target.started_here(tmp_path) == "127.0.0.1:6379"
    monkeypatch.setattr(target, "started_here", lambda: "127.0.0.1:6379")
    env = {}
    assert target.elsewhere("x.py", Bare(), [], env) is None and env == {"RAY_ADDRESS": "127.0.0.1:6379"}
    monkeypatch.undo()
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:1")
    assert target.started_here(tmp_path) is None
    assert target.started_here(tmp_path / "nothing") is None


def test_a_trace_whose_head_is_silent_is_an_error_that_names_local(laptop, monkeypatch):
    put(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "127.0.0.1"}})
    cache(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "127.0.0.1"}})
    fake = laptop / "bin"
    fake.mkdir()
    (fake / "ssh").write_text("#!/bin/sh\necho 'ssh: connect to host: Connection timed out' >&2; exit 255\n")
    (fake / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    monkeypatch.setattr(target, "started_here", lambda: None)
    found = known_clusters.latest(laptop / "checkout")
    monkeypatch.setattr(target.known_clusters, "latest", lambda: found)
    with pytest.raises(
        UserError, match=r"its head 127.0.0.1 does not answer .*timed out.*--local to run here"
    ):
        target.elsewhere("x.py", Bare(), [], {})


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("NoCredentialsError", "Unable to locate credentials", "needs AWS credentials and there are none"),
        ("ClientError RequestExpired", "Request has expired", "credentials have expired: renew"),
        ("ClientError AuthFailure", "not able to validate", "AWS refuses these credentials"),
        ("EndpointConnectionError", "Could not connect", "is there a network?"),
        ("TimeoutExpired", "no answer in 20 s", "no answer in 20 s; is there a network?"),
        ("RuntimeError", "Head node of cluster (mine) not found!", "bring it back with ray up cluster.yaml"),
        ("ValueError", "something else", "was not found: something else"),
    ],
)
def test_what_keeps_the_head_from_being_found_is_one_sentence(kind, error, sentence):
    said = provider._words(
        KnownCluster("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), kind, error, provider.LOCAL
    )
    assert sentence in said and "local" in said and "\n" not in said


def test_no_credentials_are_said_in_seconds(laptop, monkeypatch):
    path = put(laptop, CLOUD)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="cluster 'mine' needs AWS credentials and there are none"):
        provider.head_address(KnownCluster("mine", str(path), "aws", "ubuntu", ""), limit_s=100)


EXPIRED = b"<Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error>"


class Expired(BaseHTTPRequestHandler):
    """EC2, to somebody whose session is over."""

    def do_POST(self):
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"<Response><Errors>%b</Errors></Response>" % EXPIRED)

    def log_message(self, *_):
        pass


@pytest.fixture
def aws(laptop, monkeypatch):
    """aws(address): AWS answers there, to keys that are set; the trace of a cluster."""
    path = put(laptop, CLOUD)

    def at(address):
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": address}
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        return KnownCluster("mine", str(path), "aws", "ubuntu", "")

    return at


@pytest.mark.parametrize("ask", [provider.head_address, provider.check_credentials])
def test_expired_credentials_are_one_sentence(aws, ask):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Expired)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(
            UserError, match=r"^the AWS credentials have expired: renew them \(aws sso login\)"
        ):
            ask(aws(f"http://127.0.0.1:{server.server_port}"), limit_s=100)
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_network_nothing_waits_for_ray_s_own_attempts(aws):
    with socket.socket() as closed:  # bound and not listening: nobody can have the port meanwhile
        closed.bind(("127.0.0.1", 0))
        trace = aws(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError, match=r"cannot be asked .*Could not connect.*is there a network\?$"):
            provider.check_credentials(trace, limit_s=100)
    provider.check_credentials(
        KnownCluster("own", "/nowhere", "local", "ana", "", "192.0.2.1")
    )  # nobody is asked


def test_a_provider_that_never_answers_is_given_up(laptop, monkeypatch):
    monkeypatch.setattr(provider.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(provider.subprocess, "run", _hang)
    with pytest.raises(UserError, match="no answer in 1 s; is there a network"):
        provider.head_address(KnownCluster("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), limit_s=1)


def _hang(command, timeout, **_):
    raise subprocess.TimeoutExpired(command, timeout)
