"""The head over ssh, with a shell script in place of ssh."""

from contextlib import nullcontext

import pytest
from helpers.clusters import fake_command, head_of_own_machines, laptop  # noqa: F401

from datasets.errors import UserError
from orchestrator.cluster import ray_private
from orchestrator.cluster.head import Head, HeadInfo, free_port, is_open
from orchestrator.cluster.known_clusters import KnownCluster

RUN_HERE = 'for last; do :; done; exec sh -c "$last"'
"""An ssh that runs the command, its last argument, on this machine."""


def test_ssh_asks_nothing_and_takes_the_cluster_s_key_and_known_hosts(laptop):
    head = Head(KnownCluster("mine", "/x", "local", "ana", "/keys/own", "192.0.2.1"), "192.0.2.2")
    line = head.ssh("-N")
    assert line[0] == "ssh" and line[-2:] == ["-N", "ana@192.0.2.2"] and "BatchMode=yes" in line
    assert line[line.index("-i") + 1] == "/keys/own"
    assert f"UserKnownHostsFile={laptop}/.ray/upsweep/mine.known_hosts" in line
    assert "-i" not in head_of_own_machines().ssh()


def test_a_command_returns_its_output_or_raises_with_its_error(laptop, monkeypatch):
    fake_command(laptop, monkeypatch, "ssh", RUN_HERE)
    head = head_of_own_machines()
    assert head.run("echo 'a b'; echo $HOME") == f"a b\n{laptop}\n"
    with pytest.raises(
        UserError,
        match="`echo no disk >&2; exit 3` failed with status 3 on the head of cluster 'mine': no disk$",
    ):
        head.run("echo no disk >&2; exit 3")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'ssh: connect to host: No route to host' >&2; exit 255", "No route to host"),
        ("sleep 60", "no answer in 0 s"),
    ],
)
def test_a_head_that_does_not_answer_is_an_error_that_names_local(laptop, monkeypatch, script, reason):
    fake_command(laptop, monkeypatch, "ssh", f'exec sh -c "{script}"')
    message = f"its head 192.0.2.1 does not answer .*{reason}.*upsweep cluster up, or use --local to run here"
    with pytest.raises(UserError, match=message):
        head_of_own_machines().run("true", limit_s=0.4 if "sleep" in script else 30)


def test_info_is_read_from_the_files_of_the_head(laptop, monkeypatch):
    fake_command(laptop, monkeypatch, "ssh", RUN_HERE)
    with pytest.raises(UserError, match="cluster 'mine' is not ready: its head 192.0.2.1 has no token yet"):
        _ = head_of_own_machines().info
    (laptop / ".ray").mkdir(exist_ok=True)
    (laptop / ".ray" / "auth_token").write_text("a-token\n")
    (laptop / "ray_bootstrap_config.yaml").write_text('{"max_workers": 3}')
    head = head_of_own_machines()
    assert (head.info.token, head.tracking_uri, head.storage) == ("a-token", "", "")
    (laptop / "upsweep").mkdir()
    (laptop / "upsweep" / "record.json").write_text('{"uri": "http://10.0.0.1:5000"}')
    (laptop / "upsweep" / "env").write_text("export UPSWEEP_STORAGE=s3://b/upsweep UPSWEEP_DATA=\n")
    head = head_of_own_machines()
    assert head.storage == "s3://b/upsweep" and head.info.env["UPSWEEP_DATA"] == ""
    assert head.tracking_uri == "http://10.0.0.1:5000" and head.info.config == {"max_workers": 3}


LISTEN = """
import socket, sys, time
for word in sys.argv:
    if word.startswith("127.0.0.1:"):
        server = socket.create_server(("127.0.0.1", int(word.split(":")[1])))
time.sleep(60)
"""


def test_a_tunnel_is_open_within_the_block_only(laptop, monkeypatch):
    (laptop / "listen.py").write_text(LISTEN)
    fake_command(laptop, monkeypatch, "ssh", f'exec python3 {laptop}/listen.py "$@"')
    wanted = free_port()
    with head_of_own_machines().tunnel("127.0.0.1:8265", ports=[wanted]) as ports:
        assert ports == [wanted] and is_open(wanted)
    assert not is_open(wanted)


def test_a_tunnel_that_ssh_refuses_is_an_error(laptop, monkeypatch):
    fake_command(laptop, monkeypatch, "ssh", "echo 'bind: Address already in use' >&2; exit 255")
    with pytest.raises(UserError, match=r"does not answer \(bind: Address already in use\)"):
        with head_of_own_machines().tunnel("127.0.0.1:8265"):
            pass


def test_the_files_of_a_head_are_found_and_read(laptop, monkeypatch):
    fake_command(laptop, monkeypatch, "ssh", RUN_HERE)
    (laptop / "a b").mkdir()
    (laptop / "a b" / "x.html").write_bytes(b"\xff\x00")
    head = head_of_own_machines()
    assert head.exists(f"{laptop}/a b", "") and not head.exists("/no/where", "")
    assert head.read(f"{laptop}/a b", "x.html", "") == b"\xff\x00"
    assert head.read(f"{laptop}/a b", "y.html", "") is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("AuthenticationError", "refuses the token in its head's ~/.ray/auth_token"),
        (
            RuntimeError("Request failed with status code 401: Unauthorized"),
            "refuses the token in its head's",
        ),
        (
            OSError("Connection refused"),
            "Ray does not run on the head .*Connection refused.*--local to run here",
        ),
    ],
)
def test_a_refused_connection_is_one_sentence(monkeypatch, error, sentence):
    if error == "AuthenticationError":
        from ray.exceptions import AuthenticationError

        error = AuthenticationError("Authentication failed: Forbidden")

    def client(url, headers, verify):
        assert (url, headers) == ("http://127.0.0.1:1", {"Authorization": "Bearer a-token"})
        raise error

    monkeypatch.setattr(Head, "tunnel", lambda self, *targets: nullcontext([1]))
    monkeypatch.setattr(Head, "info", HeadInfo("a-token", "", {}, {}))
    monkeypatch.setattr(ray_private, "job_client", client)
    with pytest.raises(UserError, match=sentence):
        with head_of_own_machines().client():
            pass
