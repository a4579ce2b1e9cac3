"""The choice where a command runs, and the options that a bare command stands for."""

from dataclasses import dataclass

import pytest

from datasets.errors import UserError
from experiments import promote
from experiments.common import study_command, sweep_options
from orchestrator.cluster import connect, known_clusters, target
from orchestrator.cluster.known_clusters import KnownCluster
from orchestrator.cluster.target import Address, Jobs, Local, Remote, choose_target

JOBS, INSIDE = Jobs("https://j"), (Address("h:2"), ["h:2"])
CLUSTER = KnownCluster("mine", "/x/cluster.yaml", "local", "ana", "", "192.0.2.1")


@dataclass
class Bare:
    """The options of a command that is not a sweep."""

    local: bool = False
    address: str = ""
    storage: str = "./runs"
    tracking_uri: str = ""
    dry_run: bool = False
    jobs: str = ""


@pytest.fixture
def reached(monkeypatch):
    """A cluster is known and a Ray of this machine runs; the addresses that were tried."""
    tried = []
    monkeypatch.setattr(known_clusters, "latest", lambda: CLUSTER)
    monkeypatch.setattr(target, "started_here", lambda env: "127.0.0.1:6379")
    monkeypatch.setattr(connect, "check_listening", tried.append)
    return tried


@pytest.mark.parametrize(
    ("changes", "env", "chosen", "tried"),
    [
        ({"local": True, "address": "h:1"}, {"RAY_ADDRESS": "h:2"}, Local(), []),
        ({"address": "h:1"}, {"RAY_ADDRESS": "h:2", "UPSWEEP_LOCAL": "1"}, Address("h:1"), ["h:1"]),
        ({}, {"RAY_ADDRESS": "h:2", "UPSWEEP_LOCAL": "1"}, Address("h:2"), ["h:2"]),
        ({"jobs": "https://j"}, {"RAY_ADDRESS": "h:2", "RAY_API_SERVER_ADDRESS": "https://k"}, JOBS, []),
        ({"jobs": "https://j", "local": True}, {}, Local(), []),
        ({}, {"RAY_ADDRESS": "h:2", "RAY_API_SERVER_ADDRESS": "https://j"}, JOBS, []),
        ({}, {"RAY_ADDRESS": "https://j"}, JOBS, []),
        ({"address": "h:1"}, {"RAY_API_SERVER_ADDRESS": "https://j"}, Address("h:1"), ["h:1"]),
        ({}, {"RAY_API_SERVER_ADDRESS": "https://j", "RAY_ADDRESS": "h:2", "UPSWEEP_JOB": "x"}, *INSIDE),
        ({"dry_run": True, "address": "h:1"}, {}, Address("h:1"), []),
        ({}, {"UPSWEEP_LOCAL": "1"}, Local(), []),
        ({}, {}, Address("127.0.0.1:6379"), []),
    ],
)
def test_the_order_of_choices(reached, changes, env, chosen, tried):
    before = dict(env)
    assert choose_target(Bare(**changes), env) == chosen
    assert reached == tried and env == before


def test_a_known_cluster_is_chosen_if_no_ray_runs_here_and_this_machine_if_none_is_known(monkeypatch):
    monkeypatch.setattr(target, "started_here", lambda env: None)
    monkeypatch.setattr(known_clusters, "latest", lambda: CLUSTER)
    assert choose_target(Bare(), {}) == Remote(CLUSTER)
    monkeypatch.setattr(known_clusters, "latest", lambda: None)
    assert choose_target(Bare(), {}) == Local()


def test_an_address_that_nothing_listens_at_is_an_error_for_a_command_that_needs_ray():
    options = sweep_options.SweepOptions(address="127.0.0.1:1")
    with pytest.raises(UserError, match="no Ray cluster answers at 127.0.0.1:1: .*; use --local to run here"):
        choose_target(options, {})
    for changes in ({"status": "mine"}, {"stop": "mine"}, {"dry_run": True}):
        options = sweep_options.SweepOptions(address="127.0.0.1:1", **changes)
        assert choose_target(options, {}) == Address("127.0.0.1:1")


def test_the_commands_have_the_options_that_the_choice_reads():
    assert isinstance(sweep_options.SweepOptions(), target.SweepCommandOptions)
    for options in (promote.PromoteOptions(), study_command.StudyOptions()):
        assert isinstance(options, target.CommandOptions) and not isinstance(
            options, target.SweepCommandOptions
        )


@pytest.mark.parametrize(
    ("local", "address", "env", "resolved"),
    [
        (False, "h:1", {"RAY_ADDRESS": "h:2"}, "h:1"),
        (False, "", {"RAY_ADDRESS": "h:2"}, "h:2"),
        (True, "h:1", {"RAY_ADDRESS": "h:2"}, ""),
        (False, "", {}, ""),
    ],
)
def test_the_address_of_options_and_environment(local, address, env, resolved):
    assert target.resolve_address(Bare(local=local, address=address), env) == resolved


def test_a_ray_of_this_machine_counts_while_it_listens(tmp_path, monkeypatch):
    env = {"RAY_TMPDIR": str(tmp_path)}
    assert target.started_here(env) is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1\n")
    assert target.started_here(env) is None, "the note of a Ray that was killed"
    monkeypatch.setattr(connect, "check_listening", lambda address: None)
    assert target.started_here(env) == "127.0.0.1:1"
    (tmp_path / "ray" / "ray_current_cluster").chmod(0o666)
    assert target.started_here(env) is None, "anybody may have written it"


def test_a_bare_command_is_the_published_recipe_with_data_and_a_gpu_and_otherwise_the_demo():
    words, sentence = target.defaults([], {"UPSWEEP_DATA": "s3://b/data/"}, lambda: True)
    assert words == "--recipe srgan_8 --space full --train s3://b/data/celeba".split()
    assert sentence == "recipe srgan_8 over space full on s3://b/data/celeba"
    for env, gpu, why in [({}, True, "names no prepared data"), ({"UPSWEEP_DATA": "/d"}, False, "no GPU")]:
        words, sentence = target.defaults(["--trials", "3"], env, lambda gpu=gpu: gpu)
        assert (
            words == []
            and f"only the demo, a check of the mechanics ({'UPSWEEP_DATA ' * (not env)}" in sentence
            and why in sentence
        )
        assert "upsweep sweep --train path/to/photos" in sentence
    for word in ("--recipe", "--train=demo", "--resume", "--status", "--data.crop-px"):
        assert target.defaults([word], {"UPSWEEP_DATA": "/d"}, lambda: True) == ([], "")


@pytest.mark.parametrize("words", [["--train", "mine"], ["--trials=3", "--data.train=mine", "--space", "x"]])
def test_images_of_ones_own_have_a_recipe_for_the_hardware(words):
    small, sentence = target.defaults(words, {"UPSWEEP_DATA": "/d"}, lambda: False)
    assert small == ["--recipe", "photos_small"]
    assert sentence == "recipe photos_small, because none is named and there is no GPU"
    assert target.defaults(words, {}, lambda: True)[0] == ["--recipe", "photos"]
    assert target.defaults([*words, "--recipe", "demo"], {}, lambda: True) == ([], "")


@pytest.mark.parametrize(("gpus", "may"), [(0, False), (1, True)])
def test_gpus_of_the_declared_cluster_count_on_its_head(monkeypatch, gpus, may):
    kinds = {"head": {}, "worker": {"resources": {"CPU": 8, "GPU": gpus}}}
    config = {"provider": {"type": "aws"}, "max_workers": 2, "head_node_type": "head"}
    config["available_node_types"] = kinds
    monkeypatch.setattr(target.capacity, "declared", lambda: config)
    assert target.cluster_may_have_gpus("10.0.0.1:6379") is may
    monkeypatch.setattr("torch.cuda.is_available", lambda: not may)
    assert target.cluster_may_have_gpus("") is not may


def test_a_command_that_no_job_api_takes_says_so():
    with pytest.raises(
        UserError, match="RAY_ADDRESS is https://j, and this command is not sent to a job API"
    ):
        target.resolve_address(Bare(), {"RAY_ADDRESS": "https://j"})
