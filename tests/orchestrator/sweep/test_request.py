"""The request of a sweep: defaults from its space, what is refused, devices, limits, JSON."""

from dataclasses import fields, replace

import pytest

from datasets.errors import UserError
from experiments import recipes, spaces
from experiments.common.sweep_options import SweepOptions
from orchestrator.search.proposals import starting_points
from orchestrator.sweep.request import Request
from orchestrator.sweep.resume import new_request
from trainers.config import override


def filled(tmp_path, **options):
    """The request of a new sweep with these options and the defaults of its space."""
    request = new_request(SweepOptions(storage=str(tmp_path / "runs"), **options))
    return request.filled(spaces.build(request.space))


def test_zeros_take_the_spaces_own_numbers(tmp_path):
    default = filled(tmp_path)
    assert (default.trials, default.confirm_top, default.confirm_seeds) == (8, 1, 2)
    assert default.tracking_uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    few = filled(tmp_path, trials=1, confirm_top=5)
    assert (few.trials, few.confirm_top) == (1, 1), "no more can be confirmed than were screened"


def test_a_space_of_training_degradations_has_one_warm_start_on_their_mixture(tmp_path):
    request = filled(tmp_path, space="degradation")
    texts = spaces.build("degradation").axes["data.train_degradation"].examples()
    assert request.config.data.psnr_degradation == "+".join(texts) and len(texts) > 2
    assert len(spaces.build("degradation").architectures()) == 1
    assert filled(tmp_path).config.data.psnr_degradation == ""


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a b", "x" * 65, "warm", "cache", "train", "é"])
def test_a_bad_name_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="--name must be letters, digits"):
        filled(tmp_path, name=name)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trials": -1}, "--trials must be 0 or more, but got -1"),
        ({"confirm_top": -2}, "--confirm-top must be 0 or more, but got -2"),
        ({"seed": -1}, "--seed must be 0 or more, but got -1"),
        ({"hours": float("nan")}, "--hours must be 0 or more, but got nan"),
        ({"max_gpu_hours": -1.0}, "--max-gpu-hours must be 0 or more, but got -1.0"),
        ({"price_per_gpu_hour": float("inf")}, "--price-per-gpu-hour must be 0 or .* below .* got inf"),
        ({"gpus_per_trial": -1.0}, "--gpus-per-trial must be a share of one GPU .* whole number, but got -1"),
        ({"gpus_per_trial": 1.5}, "--gpus-per-trial must be a share of one GPU .* whole number, but got 1.5"),
        ({"gpus_per_trial": float("nan")}, "must be a share of one GPU"),
        ({"ranks_per_trial": -1}, "--ranks-per-trial must be 0 or more, but got -1"),
        (
            {"ranks_per_trial": 2, "gpus_per_trial": 0.5},
            "--gpus-per-trial 0.5 does not match --ranks-per-trial",
        ),
        (
            {"ranks_per_trial": 1, "gpus_per_trial": 2.0},
            "--gpus-per-trial 2 does not match --ranks-per-trial 1",
        ),
    ],
)
def test_numbers_that_cannot_be_run_are_refused(tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        filled(tmp_path, **options)


@pytest.mark.parametrize(
    ("gpus", "ranks", "expected"),
    [
        (0.0, 0, (1, 1.0, 1.0)),
        (0.0, 2, (2, 1.0, 2.0)),
        (1.0, 0, (1, 1.0, 1.0)),
        (0.25, 0, (1, 0.25, 0.25)),
        (0.25, 1, (1, 0.25, 0.25)),
        (2.0, 0, (2, 1.0, 2.0)),
        (1.0, 2, (2, 1.0, 2.0)),
        (2.0, 2, (2, 1.0, 2.0)),
    ],
)
def test_whole_gpus_are_as_many_ranks(tmp_path, gpus, ranks, expected):
    made = filled(tmp_path, gpus_per_trial=gpus, ranks_per_trial=ranks)
    assert (made.ranks, made.gpus_per_rank, made.gpus) == expected


def test_both_objectives_are_measured_first(tmp_path):
    assert filled(tmp_path).metrics == ("psnr_y", "swd", "lr_consistency", "grid_detail", "ssim_y")
    other = override(recipes.demo(), {"objective.distortion": "ssim_y"})
    assert Request(config=other).metrics == ("ssim_y", "swd", "lr_consistency", "grid_detail")


def designs(request):
    space = spaces.build(request.space)
    return starting_points(space, request.trials, request.sampler, request.seed)


def test_a_grid_has_as_many_trials_as_designs(tmp_path):
    request = filled(tmp_path, space="ablation")
    assert (request.sampler, request.trials) == ("grid", 8)
    assert len(designs(request)) == 8
    part = filled(tmp_path, space="architecture", trials=5)
    assert part.trials == len(designs(part)) == 5
    assert len({p["generator.num_blocks"] for p in designs(part)}) > 1, "a part spreads over the axes"
    assert filled(tmp_path, space="ablation", trials=100).trials == 8
    with pytest.raises(UserError, match="has no grid; give it a list of values, or choose another --sampler"):
        filled(tmp_path, space="full", sampler="grid")


def test_a_sampler_follows_the_space_or_the_option(tmp_path):
    with pytest.raises(UserError, match="no sampler 'nsga'; known: .*; did you mean 'nsga2'"):
        filled(tmp_path, sampler="nsga")
    assert filled(tmp_path).sampler == "gp"
    assert filled(tmp_path, sampler="tpe").sampler == "tpe"


def test_a_stopping_rule_follows_the_space_or_the_option(tmp_path):
    assert filled(tmp_path).stopping == "none"
    assert filled(tmp_path, space="ablation", stopping="asha").stopping == "asha"
    with pytest.raises(UserError, match="no stopping rule 'fronts'; known: .*; did you mean 'front'"):
        filled(tmp_path, stopping="fronts")


def population(**options):
    request = Request(config=recipes.build("srgan_8"), name="mine", stopping="pbt", **options)
    return request.filled(spaces.build(request.space or "balance"))


def test_the_first_settings_of_a_population_are_drawn_at_random():
    assert population(trials=8).sampler == "random"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"space": "architecture"}, "generator.num_blocks of space architecture does not allow"),
        ({"trials": 3}, "--trials 4 or more, but got 3"),
        ({"sampler": "tpe"}, "leave out --sampler tpe"),
        ({"hours": 2.0}, "--hours and --max-gpu-hours cannot end it early"),
    ],
)
def test_what_a_population_cannot_do_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        population(**options)


def test_a_limit_that_is_reached_is_named():
    request = Request(max_gpu_hours=10)
    assert request.limit_reached(9.9) == ""
    assert request.limit_reached(10.0) == "the 10 GPU-hours of --max-gpu-hours"
    assert request.limits == "10 GPU-hours"
    assert Request().limit_reached(1e9) == "" == Request().limits


def test_a_request_is_read_back_from_its_json(tmp_path):
    request = filled(tmp_path, space="balance", trials=5, hours=2.5, sampler="nsga2")
    plain = request.to_json()
    assert plain["config"]["generator.num_blocks"] == request.config.generator.num_blocks
    assert plain["tracking_uri"] == "", "it follows from the storage, which may be moved"
    assert replace(Request.from_json(plain), tracking_uri=request.tracking_uri) == request
    chosen = replace(request, tracking_uri="http://10.0.0.1:5000")
    assert Request.from_json(chosen.to_json()) == chosen
    assert set(plain) == {f.name for f in fields(Request)}


def test_options_that_may_change_with_a_resumed_sweep():
    changing = {f.name for f in fields(Request) if f.metadata.get("may_change")}
    assert changing == {"storage", "tracking_uri", "price_per_gpu_hour", "local", "address"}


@pytest.mark.parametrize("derive", [-0.1, 1.0, float("nan")])
def test_the_part_of_a_derived_phase_is_below_the_whole(derive):
    with pytest.raises(UserError, match="--derive must be 0 or more and below 1"):
        Request(name="s", derive=derive).filled(spaces.build("demo"))
