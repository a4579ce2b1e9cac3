"""Ray's job API at a URL, on a loopback double: certificates, tokens, no head, a whole job."""

import io
import json
import socket
import zipfile

import pytest
from helpers.job_api import TOKEN, JobApi, certificate, serving

from datasets.errors import UserError
from experiments.common.sweep_options import SweepOptions
from orchestrator.cluster import job_server, jobs, submit
from orchestrator.cluster.job_server import JobServer

NOTE = "sweep faces has its files in /data/faces\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No variable of this machine's, and another cluster's address, which must not be used."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.9:6379")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://192.0.2.9:8265")


def test_a_sweep_is_submitted_over_tls_followed_and_its_report_copied_from_the_storage(
    tls, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    storage = tmp_path / "storage"
    (storage / "faces").mkdir(parents=True)
    for name in submit.REPORT_FILES:
        (storage / "faces" / name).write_text(f"the {name}")
    (tmp_path / "x4.pth").write_bytes(b"\xff weights")
    env = {"RAY_AUTH_TOKEN": TOKEN, "SSL_CERT_FILE": str(tls[0]), "UPSWEEP_STORAGE": str(storage)}
    words = ["--jobs", "https://x", "--start", "x4.pth", "--trials", "3"]
    lines = []
    with serving(tls=tls, output=f"a warning\n{NOTE}the end\n") as server:
        site = JobServer(f"{server.url}/", env)
        assert (
            submit.submit_and_follow(site, "experiments/sweep.py", SweepOptions(), words, lines.append) == 0
        )
        (job,) = server.jobs.values()
        (package,) = server.packages.values()
    assert lines[0] == f"Ray at {server.url} (Ray 2.60.0); --local runs here"
    assert lines[-1] == "copied here: runs/faces/report.html"
    assert (tmp_path / "runs" / "faces" / "report.html").read_text() == "the report.html"
    assert capsys.readouterr().out.endswith(f"{NOTE}the end\n")
    sent = f"python experiments/sweep.py --start submitted/x4.pth --trials 3 --storage {storage}"
    assert job["entrypoint"] == sent and TOKEN not in json.dumps(job)
    assert job["runtime_env"]["env_vars"]["UPSWEEP_JOB"] == job["submission_id"]
    with zipfile.ZipFile(io.BytesIO(package)) as files:
        names = {name.partition("/")[2] if name.startswith("upsweep-") else name for name in files.namelist()}
    assert {"submitted/x4.pth", "experiments/sweep.py"} <= names


def test_a_running_sweep_is_found_by_its_name_and_stopped(tls):
    with serving(tls=tls, output=NOTE, status="RUNNING") as server:
        site = JobServer(server.url, {"RAY_JOB_HEADERS": json.dumps(HEADERS), "SSL_CERT_FILE": str(tls[0])})
        job = jobs.submit(site, ["python", "x.py"], {})
        with site.client() as client:
            assert jobs.newest_running(client, "faces") == jobs.named(job.id, NOTE)
        assert jobs.stop(site, "faces").startswith("sweep 'faces' stopped; resume it with: ")
        with pytest.raises(UserError, match=f"no sweep 'faces' runs on Ray at {server.url}"):
            jobs.stop(site, "faces")


HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Proxy": "1"}


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({}, "asks for a token: set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH"),
        (
            {"RAY_AUTH_TOKEN": "of another cluster"},
            "refuses the token or headers of this machine: set RAY_AUTH",
        ),
    ],
)
def test_a_missing_or_wrong_token_is_one_sentence(env, sentence):
    with serving() as server, pytest.raises(UserError, match=sentence):
        JobServer(server.url, env).version()


@pytest.mark.parametrize(
    ("days", "trusted", "reason"),
    [(-1, True, "certificate has expired"), (1, False, "self-signed certificate")],
)
def test_a_certificate_that_is_not_valid_is_one_sentence(tmp_path, days, trusted, reason):
    files = certificate(tmp_path, days)
    env = {"RAY_AUTH_TOKEN": TOKEN} | ({"SSL_CERT_FILE": str(files[0])} if trusted else {})
    with serving(tls=files) as server:
        with pytest.raises(UserError, match=rf"has no valid certificate \({reason}\): .*REQUESTS_CA_BUNDLE"):
            JobServer(server.url, env).version()


def test_another_host_s_certificate_is_refused(tmp_path):
    files = certificate(tmp_path, host="192.0.2.1")
    with (
        serving(tls=files) as server,
        pytest.raises(UserError, match="valid certificate .*IP address mismatch"),
    ):
        JobServer(server.url, {"SSL_CERT_FILE": str(files[0])}).version()


def test_a_head_that_is_not_there_or_never_answers_is_one_sentence(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=r"cannot be reached \(Connection refused\): .*--local"):
            JobServer(url, {}).version()
        silent.listen()
        monkeypatch.setattr(job_server, "CONNECT_S", 0.2)
        with pytest.raises(UserError, match=r"cannot be reached \(no answer\)"):
            JobServer(url, {}).version()
    with serving() as server, pytest.raises(UserError, match="does not speak TLS: use http://"):
        JobServer(server.url.replace("http", "https"), {}).version()


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (503, b"", r"behind a proxy that finds no head yet \(HTTP 503\): wait"),
        (404, b"", "HTTP 404, so it is not Ray's dashboard"),
        (200, b"<html>Sign in", "perhaps a login page"),
    ],
)
def test_something_else_than_ray_is_one_sentence(code, text, sentence):
    class Other(JobApi):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with serving(Other) as server, pytest.raises(UserError, match=sentence):
        JobServer(server.url, {}).version()


def test_a_token_comes_from_the_environment_or_a_file_and_ray_s_own_only_in_its_token_mode(tmp_path):
    def header(**env):
        return JobServer("http://10.0.0.1", env).headers.get("Authorization")

    file = tmp_path / "token"
    file.write_text("of-a-file\n")
    assert header(RAY_AUTH_TOKEN_PATH=str(file)) == "Bearer of-a-file"
    assert header(RAY_AUTH_TOKEN="t", RAY_AUTH_TOKEN_PATH=str(file)) == "Bearer t"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-ray")
    assert header() is None and header(RAY_AUTH_MODE="token") == "Bearer of-ray"
    assert header(RAY_AUTH_TOKEN="t", RAY_JOB_HEADERS='{"Authorization": "Basic x"}') == "Basic x"
    with pytest.raises(UserError, match="RAY_AUTH_TOKEN_PATH names .*gone, which cannot be read"):
        header(RAY_AUTH_TOKEN_PATH=str(tmp_path / "gone"))
    for text in ("a-secret", '["a-secret"]', '{"a-secret": 1}'):
        with pytest.raises(UserError, match="RAY_JOB_HEADERS must be JSON") as error:
            header(RAY_JOB_HEADERS=text)
        assert "a-secret" not in str(error.value)


def test_a_token_in_clear_is_remarked_unless_it_stays_on_this_machine():
    env = {"RAY_AUTH_TOKEN": "t"}
    urls = ("http://10.0.0.1:8265", "https://10.0.0.1", "http://127.0.0.1:8265", "http://localhost")
    assert [JobServer(url, env).in_clear for url in urls] == [True, False, False, False]
    assert not JobServer(urls[0], {}).in_clear


def test_a_login_in_the_url_is_a_header_and_in_no_message():
    site = JobServer("https://ana:secret@h:8265/ray/", {})
    assert (site.url, site.headers) == ("https://h:8265/ray", {"Authorization": "Basic YW5hOnNlY3JldA=="})
    assert "secret" not in site.label


@pytest.mark.parametrize("url", ["h:8265", "ray://h:10001", "https://", "file:///etc/passwd"])
def test_what_is_no_url_of_a_job_api_is_refused(url):
    with pytest.raises(UserError, match="--jobs must be https://HOST:PORT of Ray's dashboard, but got"):
        JobServer(url, {})


def test_a_folder_of_this_machine_is_not_the_cluster_s_unless_the_storage_is_shared_too(tmp_path):
    site = JobServer("http://10.0.0.1", {})
    assert not site.exists(str(tmp_path), "s3://b/upsweep")
    assert site.exists(str(tmp_path), "/nfs/upsweep") and site.exists("/nfs/faces", "s3://b/upsweep")
    assert site.read("/data/faces", "report.html", str(tmp_path)) is None
