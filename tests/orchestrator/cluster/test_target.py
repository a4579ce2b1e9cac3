"""What travels to a cluster, how large it may become, and how a job there is followed."""

import subprocess
from contextlib import nullcontext

import pytest

from datasets.errors import UserError
from orchestrator import provenance
from orchestrator.cluster import bundle, capacity, head, jobs, submission_checks, target
from orchestrator.cluster.known_clusters import KnownCluster
from orchestrator.search import space_file


def test_a_bare_command_is_the_published_recipe_with_data_and_a_gpu_and_else_says_that_it_is_the_demo():
    words, said = target.defaults([], {"UPSWEEP_DATA": "s3://b/data/"}, lambda: True)
    assert words == "--recipe srgan_8 --space full --train s3://b/data/celeba".split()
    for env, gpu, why in [({}, True, "names no prepared data"), ({"UPSWEEP_DATA": "/d"}, False, "no GPU")]:
        words, said = target.defaults(["--trials", "3"], env, lambda gpu=gpu: gpu)
        assert words == [] and "only the demo" in said and why in said and "--recipe srgan_8" in said
    for word in ("--recipe", "--train=x", "--resume", "--status", "--data.crop-px"):
        assert target.defaults([word], {"UPSWEEP_DATA": "/d"}, lambda: True) == ([], "")


def test_images_of_this_machine_are_refused_with_the_command_that_brings_them(tmp_path):
    (tmp_path / "photos").mkdir()
    folder = str(tmp_path / "photos")
    with pytest.raises(
        UserError, match=r"--source \S+photos --out s3://b/data/photos and name --train s3://b/"
    ):
        submission_checks.check_data({"train": folder}, lambda path: False, "s3://b/upsweep")
    submission_checks.check_data(
        {"train": folder}, lambda path: True, "s3://b/upsweep"
    )  # a folder that all share
    submission_checks.check_data({"train": "s3://b/x", "val": "demo"}, lambda path: False, "s3://b/upsweep")


def test_a_space_of_one_s_own_travels_from_wherever_it_lies(tmp_path, checkout):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/mine.yaml").write_text("axes:\n  generator.num_blocks: [2, 4]\n")
    code = "from orchestrator.search.space import Choice, Space\n"
    code += "Mine = Space('mine', {'loss.tv_weight': Choice((0.0,))})\n"
    (tmp_path / "far/mine.py").write_text(code)
    for spec, there in (("mine.yaml", "submitted/mine.yaml"), ("mine.py:Mine", "submitted/mine.py:Mine")):
        spec = f"{tmp_path}/far/{spec}"
        for given, told in (
            (["--space", spec], ["--space", there]),
            ([f"--space={spec}"], [f"--space={there}"]),
        ):
            words, beside = submission_checks.own_space(["--trials", "3", *given], spec)
            assert words == ["--trials", "3", *told]
            with bundle.working_tree_bundle(checkout, beside) as folder:
                found = space_file.read(there.replace("submitted", f"{folder}/submitted"))
                assert found.space().axes and "# not in git: submitted" not in provenance.diff(folder)
    assert submission_checks.own_space(["--space", "full"], "full") == (["--space", "full"], {})
    with pytest.raises(UserError, match="--space gone.yaml: gone.yaml cannot be read"):
        submission_checks.own_space(["--space", "gone.yaml"], "gone.yaml")
    (tmp_path / "far/mine.yaml").write_text("axes: 3\n")
    with pytest.raises(UserError, match="a space needs 'axes'"):
        submission_checks.own_space([], f"{tmp_path}/far/mine.yaml")


def test_the_storage_of_a_remote_command():
    assert submission_checks.check_storage("./runs", "s3://b/upsweep") == "s3://b/upsweep"
    assert submission_checks.check_storage("s3://c", "s3://b/upsweep") == "s3://c"
    for of_cluster in ("", "s3://CHANGE-ME/upsweep"):
        with pytest.raises(UserError, match="the cluster has no storage: name a bucket"):
            submission_checks.check_storage("./runs", of_cluster)
    with pytest.raises(UserError, match="--storage elsewhere is a folder of this machine"):
        submission_checks.check_storage("elsewhere", "s3://b/upsweep")


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
    with bundle.working_tree_bundle(checkout) as folder:
        names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        assert names == [".gitignore", provenance.PROVENANCE_FILE, "a.py", "space.py"]
        assert (folder / "a.py").read_text() == "3\n"
        assert (
            provenance.commit(folder) == provenance.commit(checkout) and provenance.commit(folder)[-1] == "+"
        )
        assert "+3" in provenance.diff(folder) and "# not in git: space.py" in provenance.diff(folder)
    assert not folder.exists()


def test_a_tree_with_data_in_it_is_refused_with_the_largest_file(checkout, monkeypatch):
    monkeypatch.setattr(bundle, "LIMIT_BYTES", 1000)
    (checkout / "photos.zip").write_bytes(bytes(2000))
    with pytest.raises(UserError, match=r"the largest file is photos.zip: add it to .gitignore"):
        with bundle.working_tree_bundle(checkout):
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
    assert not capacity.is_unknown(config, nodes)
    assert capacity.maximum(config, nodes) == capacity.Size(11, 8 * 8 + 2 * 48, 8 + 2 * 4)
    assert str(capacity.now(nodes)) == "1 node, 0 GPUs, 0 CPU cores"


def test_machines_of_one_s_own_are_known_by_the_first_that_joins():
    kinds = {"local.cluster.node": {"resources": {}, "max_workers": 3}}
    config = {"provider": {"type": "local"}, "max_workers": 3, "available_node_types": kinds}
    config["head_node_type"] = "local.cluster.node"
    nodes = [node(0, is_head=True), node(0, alive=False)]
    assert capacity.is_unknown(config, nodes) and capacity.in_words(config) == "4 nodes"
    seen = iter([nodes, nodes, [*nodes, node(4, 1)]])
    capacity.wait_for_worker(lambda: next(seen), lambda: None)
    joined = [*nodes, node(4, 1)]
    assert not capacity.is_unknown(config, joined)
    assert capacity.maximum(config, joined) == capacity.Size(4, 12, 3)


def test_a_job_leaves_its_sweep_s_name_on_the_head(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jobs.register_job("faces", tmp_path / "runs" / "faces", {})
    assert not (tmp_path / "upsweep").exists()
    jobs.register_job("faces", tmp_path / "runs" / "faces", {jobs.JOB: "upsweep-1"})
    monkeypatch.setattr(head.Head, "run", lambda self, command: _here(command))
    own = head.Head(KnownCluster("mine", "/x", "local", "ana", "", "192.0.2.1"))
    assert jobs.jobs_of(own, "faces") == [
        jobs.SubmittedJob("upsweep-1", "faces", str(tmp_path / "runs" / "faces"))
    ]
    assert jobs.jobs_of(own, "other") == []


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
    monkeypatch.setattr(jobs, "job_client", lambda head: _open(client))
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    assert jobs.follow(None, jobs.SubmittedJob("j", "", ""), shown.append) == code
    assert shown == ["one\n", "two\n", "three\n"]


def test_a_head_that_stays_away_ends_the_following(monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(
        jobs, "job_client", lambda head: (_ for _ in ()).throw(UserError("away; use --local"))
    )
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match="away"):
        jobs.follow(None, jobs.SubmittedJob("j", "", ""), lambda text: None)


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

    own = head.Head(KnownCluster("mine", "/x", "local", "ana", "", "192.0.2.1"))
    monkeypatch.setattr(head.Head, "tunnel", lambda self, *targets: nullcontext([1]))
    monkeypatch.setattr(head.Head, "facts", head.HeadInfo("a-token", "", {}, {}))
    monkeypatch.setattr(ray.job_submission, "JobSubmissionClient", _raising(error))
    with pytest.raises(UserError, match=sentence):
        with jobs.job_client(own):
            pass


def _raising(error):
    def client(address, headers):
        assert headers == {"Authorization": "Bearer a-token"}
        raise error

    return client
