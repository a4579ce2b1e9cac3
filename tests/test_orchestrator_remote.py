"""Which cluster a command finds, what it says where there is none, what travels, how large it may become."""

import json
import os
import socket
import subprocess
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from datasets.errors import UserError
from orchestrator import cluster, submission, user_space
from orchestrator.remote import capacity, dispatch, head, jobs, locate, pack, trace
from orchestrator.remote.trace import Trace

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
    monkeypatch.setattr(trace.tempfile, "gettempdir", lambda: str(tmp_path))
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
    assert trace.find(laptop / "checkout") is None


def test_the_trace_of_ray_up_is_found_and_kept_over_a_reboot_until_it_is_forgotten(laptop):
    path = put(laptop, CLOUD)
    cache(laptop, CLOUD | {"auth": CLOUD["auth"] | {"ssh_private_key": "~/.ssh/ray.pem"}})
    found = trace.find(laptop / "checkout")
    assert found == Trace("mine", str(path), "aws", "ubuntu", str(laptop / ".ssh/ray.pem"))
    trace.remember(found, laptop / "checkout")
    (laptop / "ray-config-1").unlink()
    assert trace.find(laptop / "checkout") == found
    assert trace.find(laptop / "another") is None, "of this checkout, not of its neighbour"
    trace.forget(found)
    assert trace.find(laptop / "checkout") is None


def test_of_two_clusters_the_one_started_last_is_meant(laptop):
    put(laptop, CLOUD)
    put(laptop, OWN | {"cluster_name": "own"}, "cluster.local.yaml")
    cache(laptop, CLOUD)
    cache(laptop, OWN | {"cluster_name": "own"}, "ray-config-2")
    os.utime(laptop / "ray-config-1", (1, 1))
    assert trace.find(laptop / "checkout").name == "own"
    os.utime(laptop / "ray-config-1", (2**32, 2**32))
    assert trace.find(laptop / "checkout").name == "mine"


class Bare:
    local, address, storage, tracking_uri = False, "", "./runs", ""


@pytest.mark.parametrize(
    ("text", "what"),
    [("a: [", "cannot be read"), ("a: 1", "lacks cluster_name, provider, auth"), ("", "lacks")],
)
def test_a_file_that_is_no_cluster_file_is_named(laptop, text, what):
    (laptop / "cluster.mine.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"cluster.mine.yaml .*{what}.*use --local to run here"):
        trace.find(laptop)


def test_local_address_and_environment_never_ask_for_a_trace(monkeypatch):
    monkeypatch.setattr(trace, "find", lambda: pytest.fail("a trace was looked for"))
    asked = []
    monkeypatch.setattr(cluster, "answers", asked.append)
    named = [{"RAY_ADDRESS": "h:1"}, {"UPSWEEP_LOCAL": "1"}]
    for changes, env in [({"local": True}, {}), ({"address": "h:1"}, {}), *(({}, env) for env in named)]:
        options = Bare()
        vars(options).update(changes)
        assert dispatch.elsewhere("x.py", options, [], env) is None
    assert asked == ["h:1", "h:1"], "seconds before Ray and torch are imported"


def test_who_listens_is_asked_of_a_sweep_that_needs_it(monkeypatch):
    options = Bare()
    options.address = "127.0.0.1:1"
    with pytest.raises(UserError, match="no Ray cluster answers at 127.0.0.1:1: .*; use --local to run here"):
        dispatch.elsewhere("x.py", options, [], {})
    options.status = "mine"
    assert dispatch.elsewhere("x.py", options, [], {}) is None


def test_a_ray_of_this_machine_comes_before_a_trace_and_a_dead_one_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "find", lambda: None)
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:6379\n")
    monkeypatch.setattr(cluster, "answers", lambda address: None)
    assert dispatch.started_here(tmp_path) == "127.0.0.1:6379"
    monkeypatch.setattr(dispatch, "started_here", lambda: "127.0.0.1:6379")
    env = {}
    assert dispatch.elsewhere("x.py", Bare(), [], env) is None and env == {"RAY_ADDRESS": "127.0.0.1:6379"}
    monkeypatch.undo()
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:1")
    assert dispatch.started_here(tmp_path) is None
    assert dispatch.started_here(tmp_path / "nothing") is None


def test_a_trace_whose_head_is_silent_is_an_error_that_names_local(laptop, monkeypatch):
    put(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "127.0.0.1"}})
    cache(laptop, OWN | {"provider": OWN["provider"] | {"head_ip": "127.0.0.1"}})
    fake = laptop / "bin"
    fake.mkdir()
    (fake / "ssh").write_text("#!/bin/sh\necho 'ssh: connect to host: Connection timed out' >&2; exit 255\n")
    (fake / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    monkeypatch.setattr(dispatch, "started_here", lambda: None)
    found = trace.find(laptop / "checkout")
    monkeypatch.setattr(dispatch.traces, "find", lambda: found)
    with pytest.raises(
        UserError, match=r"its head 127.0.0.1 does not answer .*timed out.*--local to run here"
    ):
        dispatch.elsewhere("x.py", Bare(), [], {})


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
    said = locate._words(Trace("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), kind, error)
    assert sentence in said and "local" in said and "\n" not in said


def test_no_credentials_are_said_in_seconds(laptop, monkeypatch):
    path = put(laptop, CLOUD)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="cluster 'mine' needs AWS credentials and there are none"):
        locate.address(Trace("mine", str(path), "aws", "ubuntu", ""), limit_s=100)


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
        return Trace("mine", str(path), "aws", "ubuntu", "")

    return at


@pytest.mark.parametrize("ask", [locate.address, locate.check])
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
            locate.check(trace, limit_s=100)
    locate.check(Trace("own", "/nowhere", "local", "ana", "", "192.0.2.1"))  # nobody is asked


def test_a_provider_that_never_answers_is_given_up(laptop, monkeypatch):
    monkeypatch.setattr(locate.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(locate.subprocess, "run", _hang)
    with pytest.raises(UserError, match="no answer in 1 s; is there a network"):
        locate.address(Trace("mine", "/x/cluster.yaml", "aws", "ubuntu", ""), limit_s=1)


def _hang(command, timeout, **_):
    raise subprocess.TimeoutExpired(command, timeout)


def test_a_bare_command_is_the_published_recipe_with_data_and_a_gpu_and_else_says_that_it_is_the_demo():
    words, said = dispatch.defaults([], {"UPSWEEP_DATA": "s3://b/data/"}, lambda: True)
    assert words == "--recipe srgan_8 --space full --train s3://b/data/celeba".split()
    for env, gpu, why in [({}, True, "names no prepared data"), ({"UPSWEEP_DATA": "/d"}, False, "no GPU")]:
        words, said = dispatch.defaults(["--trials", "3"], env, lambda gpu=gpu: gpu)
        assert words == [] and "only the demo" in said and why in said and "--recipe srgan_8" in said
    for word in ("--recipe", "--train=x", "--resume", "--status", "--data.crop-px"):
        assert dispatch.defaults([word], {"UPSWEEP_DATA": "/d"}, lambda: True) == ([], "")


def test_images_of_this_machine_are_refused_with_the_command_that_brings_them(tmp_path):
    (tmp_path / "photos").mkdir()
    folder = str(tmp_path / "photos")
    with pytest.raises(
        UserError, match=r"--source \S+photos --out s3://b/data/photos and name --train s3://b/"
    ):
        dispatch.check_data({"train": folder}, lambda path: False, "s3://b/upsweep")
    dispatch.check_data({"train": folder}, lambda path: True, "s3://b/upsweep")  # a folder that all share
    dispatch.check_data({"train": "s3://b/x", "val": "demo"}, lambda path: False, "s3://b/upsweep")


def test_a_space_of_one_s_own_travels_from_wherever_it_lies(tmp_path, checkout):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/mine.yaml").write_text("axes:\n  generator.num_blocks: [2, 4]\n")
    code = "from orchestrator.space import Choice, Space\n"
    code += "Mine = Space('mine', {'loss.tv_weight': Choice((0.0,))})\n"
    (tmp_path / "far/mine.py").write_text(code)
    for spec, there in (("mine.yaml", "submitted/mine.yaml"), ("mine.py:Mine", "submitted/mine.py:Mine")):
        spec = f"{tmp_path}/far/{spec}"
        for given, told in (
            (["--space", spec], ["--space", there]),
            ([f"--space={spec}"], [f"--space={there}"]),
        ):
            words, beside = dispatch.own_space(["--trials", "3", *given], spec)
            assert words == ["--trials", "3", *told]
            with pack.packed(checkout, beside) as folder:
                found = user_space.read(there.replace("submitted", f"{folder}/submitted"))
                assert found.space().axes and "# not in git: submitted" not in submission.diff(folder)
    assert dispatch.own_space(["--space", "full"], "full") == (["--space", "full"], {})
    with pytest.raises(UserError, match="--space gone.yaml: gone.yaml cannot be read"):
        dispatch.own_space(["--space", "gone.yaml"], "gone.yaml")
    (tmp_path / "far/mine.yaml").write_text("axes: 3\n")
    with pytest.raises(UserError, match="a space needs 'axes'"):
        dispatch.own_space([], f"{tmp_path}/far/mine.yaml")


def test_the_storage_of_a_remote_command():
    assert dispatch.check_storage("./runs", "s3://b/upsweep") == "s3://b/upsweep"
    assert dispatch.check_storage("s3://c", "s3://b/upsweep") == "s3://c"
    for of_cluster in ("", "s3://CHANGE-ME/upsweep"):
        with pytest.raises(UserError, match="the cluster has no storage: name a bucket"):
            dispatch.check_storage("./runs", of_cluster)
    with pytest.raises(UserError, match="--storage elsewhere is a folder of this machine"):
        dispatch.check_storage("elsewhere", "s3://b/upsweep")


@pytest.fixture
def checkout(tmp_path):
    """A small repository with an ignored file, a change and a new file."""
    root = tmp_path / "tree"
    (root / "tests").mkdir(parents=True)
    for name, text in {".gitignore": "runs/\n", "a.py": "1\n", "tests/t.py": "2\n"}.items():
        (root / name).write_text(text)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    (root / "a.py").write_text("3\n")
    (root / "space.py").write_text("4\n")
    (root / "runs").mkdir()
    (root / "runs" / "heavy").write_text("5\n")
    return root


def test_what_travels_is_the_working_tree_with_a_note_of_commit_and_changes(checkout):
    with pack.packed(checkout) as folder:
        names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        assert names == [".gitignore", submission.NOTE, "a.py", "space.py"]
        assert (folder / "a.py").read_text() == "3\n"
        assert (
            submission.commit(folder) == submission.commit(checkout) and submission.commit(folder)[-1] == "+"
        )
        assert "+3" in submission.diff(folder) and "# not in git: space.py" in submission.diff(folder)
    assert not folder.exists()


def test_a_tree_with_data_in_it_is_refused_with_the_largest_file(checkout, monkeypatch):
    monkeypatch.setattr(pack, "LIMIT_BYTES", 1000)
    (checkout / "photos.zip").write_bytes(bytes(2000))
    with pytest.raises(UserError, match=r"the largest file is photos.zip: add it to .gitignore"):
        with pack.packed(checkout):
            pass


def node(cpus, gpus=0, alive=True, is_head=False):
    held = {"CPU": cpus, "GPU": gpus} | ({"node:__internal_head__": 1} if is_head else {})
    return {"Alive": alive, "Resources": held if alive else {}}


def test_an_autoscaled_cluster_is_as_large_as_its_node_types_say():
    config = {
        "provider": {"type": "aws"},
        "max_workers": 10,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "max_workers": 0},
            "small": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 8},
            "large": {"resources": {"CPU": 48, "GPU": 4}, "max_workers": 4},
        },
    }
    nodes = [node(0, is_head=True)]
    assert not capacity.must_wait(config, nodes)
    assert capacity.at_most(config, nodes) == capacity.Size(11, 8 * 8 + 2 * 48, 8 + 2 * 4)
    assert str(capacity.now(nodes)) == "1 node, 0 GPUs, 0 CPU cores"


def test_machines_of_one_s_own_are_known_by_the_first_that_joins():
    kinds = {"local.cluster.node": {"resources": {}, "max_workers": 3}}
    config = {"provider": {"type": "local"}, "max_workers": 3, "available_node_types": kinds}
    config["head_node_type"] = "local.cluster.node"
    nodes = [node(0, is_head=True), node(0, alive=False)]
    assert capacity.must_wait(config, nodes) and capacity.in_words(config) == "4 nodes"
    seen = iter([nodes, nodes, [*nodes, node(4, 1)]])
    capacity.first_worker(lambda: next(seen), lambda: None)
    joined = [*nodes, node(4, 1)]
    assert not capacity.must_wait(config, joined)
    assert capacity.at_most(config, joined) == capacity.Size(4, 12, 3)


def test_a_job_leaves_its_sweep_s_name_on_the_head(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs.announce("faces", tmp_path / "runs" / "faces", {})
    assert not (tmp_path / "upsweep").exists()
    jobs.announce("faces", tmp_path / "runs" / "faces", {jobs.JOB: "upsweep-1"})
    monkeypatch.setattr(head.Head, "run", lambda self, command: _here(command))
    own = head.Head(Trace("mine", "/x", "local", "ana", "", "192.0.2.1"))
    assert jobs.of_sweep(own, "faces") == [jobs.Job("upsweep-1", "faces", str(tmp_path / "runs" / "faces"))]
    assert jobs.of_sweep(own, "other") == []


def _here(command):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout


class Client:
    """Stands for Ray's: a job that prints in pieces, over a line that breaks once."""

    def __init__(self, texts, code=0):
        self.texts, self.code, self.asked = list(texts), code, 0

    def get_job_status(self, job_id):
        over = self.asked >= len(self.texts) - 1
        return type("Status", (), {"value": ("FAILED" if self.code else "SUCCEEDED") if over else "RUNNING"})

    def get_job_logs(self, job_id):
        self.asked += 1
        text = self.texts[min(self.asked, len(self.texts)) - 1]
        if text is None:
            raise UserError("the line broke")
        return text

    def get_job_info(self, job_id):
        return type("Info", (), {"driver_exit_code": self.code})


@pytest.mark.parametrize("code", [0, 2])
def test_what_a_job_prints_is_shown_once_though_the_line_breaks(monkeypatch, code):
    client, shown = Client(["one\n", "one\ntwo\n", None, "one\ntwo\nthree\n"], code), []
    monkeypatch.setattr(jobs, "door", lambda head: _open(client))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    assert jobs.follow(None, jobs.Job("j", "", ""), shown.append) == code
    assert shown == ["one\n", "two\n", "three\n"]


def test_a_head_that_stays_away_ends_the_following(monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(jobs, "door", lambda head: (_ for _ in ()).throw(UserError("away; use --local")))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match="away"):
        jobs.follow(None, jobs.Job("j", "", ""), lambda text: None)


def _open(client):
    return nullcontext(client)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError("Request failed with status code 401: Unauthorized"),
            "refuses the token that its head",
        ),
        (
            OSError("Connection refused"),
            "Ray does not run on the head .*Connection refused.*--local to run here",
        ),
    ],
)
def test_a_door_that_stays_shut_is_one_sentence(monkeypatch, error, sentence):
    import ray.job_submission

    own = head.Head(Trace("mine", "/x", "local", "ana", "", "192.0.2.1"))
    monkeypatch.setattr(head.Head, "tunnel", lambda self, *targets: nullcontext([1]))
    monkeypatch.setattr(head.Head, "facts", head.Facts("a-token", "", {}, {}))
    monkeypatch.setattr(ray.job_submission, "JobSubmissionClient", _raising(error))
    with pytest.raises(UserError, match=sentence):
        with jobs.door(own):
            pass


def _raising(error):
    def client(address, headers):
        assert headers == {"Authorization": "Bearer a-token"}
        raise error

    return client
