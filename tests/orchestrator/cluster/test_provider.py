"""The address of a head from its provider, and one sentence for each reason why there is none."""

import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.clusters import CLOUD, laptop, write_cluster_file  # noqa: F401

from datasets.errors import UserError
from orchestrator.cluster import provider
from orchestrator.cluster.known_clusters import KnownCluster


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("NoCredentialsError", "Unable to locate credentials", "needs AWS credentials and there are none"),
        ("ClientError RequestExpired", "Request has expired", "credentials have expired: renew"),
        ("ClientError AuthFailure", "not able to validate", "AWS refuses these credentials"),
        ("EndpointConnectionError", "Could not connect", "(Could not connect): check the network"),
        ("TimeoutExpired", "no answer in 20 s", "(no answer in 20 s): check the network"),
        (
            "RuntimeError",
            "Head node of cluster (mine) not found!",
            "start it again with ray up /x/cluster.yaml",
        ),
        ("ValueError", "something else", "returned no head of cluster 'mine' (something else)"),
    ],
)
def test_every_reason_without_a_head_is_one_sentence(kind, error, sentence):
    text = provider._explain(
        KnownCluster("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), kind, error, provider.LOCAL
    )
    assert sentence in text and "or use --local to run here" in text and "\n" not in text


def test_missing_credentials_are_an_error_within_the_limit(laptop, monkeypatch):
    path = write_cluster_file(laptop, CLOUD)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="cluster 'mine' needs AWS credentials and there are none"):
        provider.head_address(KnownCluster("mine", str(path), "aws", "ubuntu", ""), limit_s=100)


EXPIRED = b"<Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error>"


class Expired(BaseHTTPRequestHandler):
    """EC2 as it answers expired credentials."""

    def do_POST(self):
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"<Response><Errors>%b</Errors></Response>" % EXPIRED)

    def log_message(self, *_):
        pass


@pytest.fixture
def aws(laptop, monkeypatch):
    """aws(address) -> a cluster; AWS is expected at that address, with keys that are set."""
    path = write_cluster_file(laptop, CLOUD)

    def at(address):
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": address}
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        return KnownCluster("mine", str(path), "aws", "ubuntu", "")

    return at


@pytest.mark.parametrize("ask", [provider.head_address, provider.check_credentials])
def test_expired_credentials_are_an_error_with_the_remedy(aws, ask):
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
        cluster = aws(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UserError, match=r"cannot be asked .*Could not connect.*check the network$"):
            provider.check_credentials(cluster, limit_s=100)
    provider.check_credentials(
        KnownCluster("own", "/nowhere", "local", "ana", "", "192.0.2.1")
    )  # is not asked


def test_a_provider_that_never_answers_is_given_up(laptop, monkeypatch):
    monkeypatch.setattr(provider.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(provider.subprocess, "run", _hang)
    with pytest.raises(UserError, match="no answer in 1 s.: check the network, or use --local"):
        provider.head_address(KnownCluster("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), limit_s=1)


def _hang(command, timeout, **_):
    raise subprocess.TimeoutExpired(command, timeout)


def test_only_the_last_line_of_the_query_counts_and_a_crash_is_its_last_error(monkeypatch):
    cloud = KnownCluster("mine", "/x/cluster.yaml", "gcp", "ubuntu", "")
    printed = subprocess.CompletedProcess([], 0, 'a warning\n{"address": "192.0.2.5"}\n', "")
    monkeypatch.setattr(provider.subprocess, "run", lambda *_, **__: printed)
    assert provider.head_address(cloud) == "192.0.2.5"
    crashed = subprocess.CompletedProcess([], 1, "", "Traceback\nImportError: no module ray")
    monkeypatch.setattr(provider.subprocess, "run", lambda *_, **__: crashed)
    with pytest.raises(UserError, match=r"no head of cluster 'mine' \(ImportError: no module ray\)"):
        provider.head_address(cloud)
