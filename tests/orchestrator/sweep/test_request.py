"""What a sweep is asked for: filled in, named, refused, resumed."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from datasets.errors import UserError
from experiments import recipes, spaces
from experiments.common.sweep_options import Options
from orchestrator.cluster.capacity import Capacity
from orchestrator.search.proposals import points
from orchestrator.search.space import Choice, Space
from orchestrator.sweep import resume, run
from orchestrator.sweep.checks import _check_ranks
from orchestrator.sweep.request import Budget, Request
from trainers.config import flatten, override


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def build(tmp_path, **options):
    given = Options(storage=str(tmp_path / "runs"), **options)
    return resume.build(given, spaces.build, "the command")


def existing(tmp_path, name, **facts):
    """A sweep that began before."""
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    config = override(recipes.demo(), {"run.gan_steps": 40})
    before = {"config": flatten(config), "trials": 3, "confirm_top": 1, "confirm_seeds": 2}
    told = {"space": "balance", "seed": 9, "command": "as typed", "tracking_uri": "sqlite:////x/mlflow.db"}
    told |= {"request": before | {"gpus_per_trial": 0.5}} | facts
    (folder / "sweep.json").write_text(json.dumps(told))
    return config


def test_zeros_take_the_spaces_own_numbers(tmp_path):
    filled = build(tmp_path).filled()
    assert (filled.trials, filled.confirm_top, filled.confirm_seeds) == (8, 2, 2)
    assert filled.tracking_uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    few = build(tmp_path, trials=1, confirm_top=5).filled()
    assert (few.trials, few.confirm_top) == (1, 1), "no more can be confirmed than were screened"


def test_the_space_follows_the_recipe(tmp_path):
    assert build(tmp_path).space.name == "demo"
    assert build(tmp_path, config=recipes.build("srgan_8")).space.name == "full"
    assert build(tmp_path, space="balance").space.name == "balance"


def test_data_options_are_short_for_the_dotted_names(tmp_path):
    config = build(tmp_path, train="faces", test="towers").config
    assert (config.data.train, config.data.val, config.data.test) == ("faces", "", "towers")


def test_a_free_name_is_found(tmp_path):
    assert build(tmp_path).name == "demo"
    existing(tmp_path, "demo")
    assert build(tmp_path).name == "demo-2"
    existing(tmp_path, "demo-2")
    assert build(tmp_path).name == "demo-3"
    (tmp_path / "runs" / "demo-3").mkdir()
    assert build(tmp_path).name == "demo-3", "a folder without a sweep is no sweep"


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a b", "x" * 65, "warm", "cache", "train", "é"])
def test_names_that_would_not_do(tmp_path, name):
    with pytest.raises(UserError, match="--name must be letters, digits"):
        build(tmp_path, name=name).filled()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trials": -1}, "--trials must be 0 or more, but got -1"),
        ({"confirm_top": -2}, "--confirm-top must be 0 or more, but got -2"),
        ({"seed": -1}, "--seed must be 0 or more, but got -1"),
        ({"gpus_per_trial": 0.0}, "--gpus-per-trial must be a share of one GPU .* whole number, but got 0"),
        ({"gpus_per_trial": 1.5}, "--gpus-per-trial must be a share of one GPU .* whole number, but got 1.5"),
        ({"gpus_per_trial": float("nan")}, "must be a share of one GPU"),
        ({"ranks_per_trial": -1}, "--ranks-per-trial must be 0 or more, but got -1"),
        ({"ranks_per_trial": 2, "gpus_per_trial": 0.5}, "each rank has one GPU of its own .* but got 0.5"),
        ({"ranks_per_trial": 1, "gpus_per_trial": 2.0}, "--ranks-per-trial 1 leaves --gpus-per-trial out"),
    ],
)
def test_numbers_that_cannot_be_run(tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        build(tmp_path, **options).filled()


@pytest.mark.parametrize(
    ("gpus", "ranks", "expected"),
    [
        (1.0, 0, (1, 1.0, 1.0)),
        (0.25, 0, (1, 0.25, 0.25)),
        (0.25, 1, (1, 0.25, 0.25)),
        (2.0, 0, (2, 1.0, 2.0)),
        (1.0, 2, (2, 1.0, 2.0)),
        (2.0, 2, (2, 1.0, 2.0)),
    ],
)
def test_whole_gpus_are_as_many_ranks(tmp_path, gpus, ranks, expected):
    made = build(tmp_path, gpus_per_trial=gpus, ranks_per_trial=ranks).filled()
    assert (made.ranks, made.gpus_per_rank, made.gpus) == expected


def test_a_batch_is_shared_evenly_or_refused(tmp_path):
    _check_ranks(build(tmp_path, ranks_per_trial=2))
    with pytest.raises(UserError, match=r"data.batch_size=4 must be a multiple of 3, a trial's ranks \(3\)"):
        _check_ranks(build(tmp_path, ranks_per_trial=3))
    parts = override(recipes.demo(), {"optim.micro_batches": 4})
    with pytest.raises(UserError, match=r"must be a multiple of 8, .* optim.micro_batches \(4\)"):
        _check_ranks(build(tmp_path, ranks_per_trial=2, config=parts))
    varied = Space("mine", {"data.batch_size": Choice((4, 6))})
    with pytest.raises(UserError, match="data.batch_size=6 must be a multiple of 4"):
        _check_ranks(replace(build(tmp_path, ranks_per_trial=4), space=varied))


@pytest.mark.parametrize(
    ("asked", "there", "sentence"),
    [
        (
            {"gpus_per_trial": 2.0},
            (0, 8),
            "--gpus-per-trial 2 needs GPUs .* --ranks-per-trial 2 runs as many",
        ),
        (
            {"ranks_per_trial": 4},
            (0, 3),
            "each of the 4 ranks needs a CPU core, but there is 3 cores, 0 GPUs",
        ),
        ({"ranks_per_trial": 4}, (3, 8), "each of the 4 ranks needs a GPU and a CPU core"),
        ({"gpus_per_trial": 4.0}, (4, 3), "each of the 4 ranks needs a GPU and a CPU core"),
        ({"gpus_per_trial": 4.0}, (4, 4), ""),
        ({"ranks_per_trial": 3}, (0, 3), ""),
        ({}, (0, 0), ""),
    ],
)
def test_a_trial_that_could_never_start_is_refused(tmp_path, asked, there, sentence):
    gpus, cpus = there
    place = Capacity(f"{cpus} cores, {gpus} GPUs", True, 1, cpus, gpus)
    with pytest.raises(UserError, match=sentence) if sentence else nullcontext():
        run._room(build(tmp_path, **asked).filled(), place)


def test_a_resumed_sweep_takes_everything_from_itself(tmp_path):
    config = existing(tmp_path, "mine")
    again = build(tmp_path, resume="mine")
    assert again.config == config
    assert (again.trials, again.confirm_top, again.confirm_seeds, again.seed) == (3, 1, 2, 9)
    assert (again.name, again.space.name, again.gpus_per_trial) == ("mine", "balance", 0.5)
    assert again.ranks == 1, "of a sweep that began before there were ranks"
    assert (again.command, again.tracking_uri) == ("as typed", "sqlite:////x/mlflow.db")
    moved = build(tmp_path, resume="mine", tracking_uri="http://10.0.0.1:5000")
    assert moved.tracking_uri == "http://10.0.0.1:5000", "a server may have moved meanwhile"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"trials": 20}, "--trials"),
        ({"name": "other"}, "--name"),
        ({"train": "faces"}, "--train"),
        ({"config": override(recipes.demo(), {"optim.lr_g": 1e-3})}, "--optim.lr-g"),
    ],
)
def test_settings_beside_resume_are_refused_rather_than_ignored(tmp_path, options, named):
    existing(tmp_path, "mine")
    with pytest.raises(UserError, match=f"--resume mine goes on with the settings .* leave out {named}"):
        build(tmp_path, resume="mine", **options)


def test_a_sweep_that_is_not_there_cannot_be_resumed(tmp_path):
    with pytest.raises(UserError, match=r"no sweep 'gone' in .*/runs"):
        build(tmp_path, resume="gone")


def test_which_cluster(tmp_path, monkeypatch):
    assert build(tmp_path).address is None
    assert build(tmp_path, address="10.0.0.1:6379").address == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert build(tmp_path).address == "10.0.0.2:6379"
    assert build(tmp_path, address="10.0.0.1:6379").address == "10.0.0.1:6379"
    assert build(tmp_path, local=True).address is None


def test_both_objectives_are_measured_first(tmp_path):
    assert build(tmp_path).metrics == ("psnr_y", "swd", "ssim_y")
    other = override(recipes.demo(), {"objective.distortion": "ssim_y"})
    assert Request(other, spaces.DEMO, "x").metrics == ("ssim_y", "swd")


def test_a_grid_has_as_many_trials_as_designs(tmp_path):
    request = build(tmp_path, space="ablation").filled()
    assert (request.sampler, request.trials) == ("grid", 8)
    assert len(points(request)) == 8
    part = build(tmp_path, space="architecture", trials=5).filled()
    assert part.trials == len(points(part)) == 5
    assert len({p["generator.num_blocks"] for p in points(part)}) > 1, "a part spreads over the axes"
    assert build(tmp_path, space="ablation", trials=100).filled().trials == 8
    with pytest.raises(UserError, match="has no grid; give it a list of values, or choose another --sampler"):
        build(tmp_path, space="full", sampler="grid").filled()


def test_a_sampler_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match="no sampler 'nsga'; known: .*; did you mean 'nsga2'"):
        build(tmp_path, sampler="nsga").filled()
    assert build(tmp_path).filled().sampler == "tpe"


def test_a_stopping_rule_follows_the_space_or_is_asked_for(tmp_path):
    assert build(tmp_path).filled().stopping == "feasible_first"
    assert build(tmp_path, space="ablation").filled().stopping == "none"
    assert build(tmp_path, space="ablation", stopping="asha").filled().stopping == "asha"
    with pytest.raises(UserError, match="no stopping rule 'fronts'; known: .*; did you mean 'front'"):
        build(tmp_path, stopping="fronts").filled()


def test_a_resumed_sweep_keeps_its_sampler_its_rule_and_its_budget(tmp_path):
    existing(tmp_path, "mine")
    assert build(tmp_path, resume="mine").budget == Budget(), "one that began without"
    path = tmp_path / "runs" / "mine" / "sweep.json"
    facts = json.loads(path.read_text())
    asked = {"sampler": "nsga2", "stopping": "front", "budget": {"hours": 2.0, "gpu_hours": 0.0}}
    path.write_text(json.dumps(facts | {"request": facts["request"] | asked}))
    again = build(tmp_path, resume="mine")
    assert (again.sampler, again.stopping, again.budget) == ("nsga2", "front", Budget(2.0, 0.0))
    with pytest.raises(UserError, match="leave out --max-hours"):
        build(tmp_path, resume="mine", max_hours=3.0)
