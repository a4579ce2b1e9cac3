"""Every space against every recipe it may be swept with."""

import pickle

import optuna
import pytest

from datasets.errors import UserError
from experiments.recipes import RECIPES
from experiments.spaces import SPACES, build
from orchestrator.results.labels import settings_of
from orchestrator.search.sampler import build_search
from trainers.config import flatten, override
from trainers.objectives import Objectives


def is_gan_of_srresnets(recipe):
    config = RECIPES[recipe]()
    return config.generator.kind == "srresnet" and config.run.gan_steps > 0


@pytest.mark.parametrize("recipe", filter(is_gan_of_srresnets, RECIPES))
@pytest.mark.parametrize("name", SPACES)
def test_every_space_fits_every_srgan(name, recipe):
    config = RECIPES[recipe]()
    if build(name).fidelity:
        with pytest.raises(UserError, match="is for sweeps without a GAN phase: set run.gan_steps 0"):
            build(name).check(config)
        build(name).check(override(config, {"run.gan_steps": 0}))
    elif name == "degradation" and config.data.input != "image":
        with pytest.raises(UserError, match="data.train_degradation needs data.input image"):
            build(name).check(config)
    elif name == "networks" and config.generator.scale in (1, 16):
        with pytest.raises(UserError, match="generator.scale of .* must be"):
            build(name).check(config)
    else:
        build(name).check(config)


@pytest.mark.parametrize("recipe", ["srcnn_915", "esrgan"])
def test_a_space_of_another_network_is_refused_in_a_sentence(recipe):
    with pytest.raises(UserError, match="generator[.]"):
        build("full").check(RECIPES[recipe]())


@pytest.mark.parametrize("name", SPACES)
def test_points_to_start_from_are_drawn_as_written(name):
    space = SPACES[name]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in space.points:
        study.enqueue_trial(point)
    for point in space.points:
        trial = study.ask()
        values = space(trial)
        assert {k: v for k, v in point.items() if not k.endswith("?")}.items() <= values.items()
        assert set(point) == set(trial.params), "a point that leaves an axis open is not a published recipe"


@pytest.mark.parametrize("name", SPACES)
def test_what_ray_is_given_becomes_a_config(name):
    """Ray hands on Optuna's own parameters, a space's switches included, beside the values it returns."""
    config, space = RECIPES["demo"](), SPACES[name]
    search = build_search(space, Objectives.of(config.objective), name, 0, list(space.points), 20)
    for k in range(20):
        given = settings_of(search.suggest(f"t{k}"))
        assert set(given) <= set(space.axes) and given
        assert given.items() <= flatten(override(config, given)).items()


@pytest.mark.parametrize("name", SPACES)
def test_spaces_are_named_described_and_plain_data(name):
    space = SPACES[name]
    assert space.name == name
    assert pickle.loads(pickle.dumps(space)) == space
    assert set(space.only_if) <= set(space.axes)


def test_the_demo_varies_all_four_of_the_house_and_warms_four_architectures():
    axes = SPACES["demo"].axes
    assert {"generator.num_blocks", "generator.norm", "generator.upsampler"} <= set(axes)
    assert any(n.startswith("loss.") and n.endswith("_weight") for n in axes)
    assert len(SPACES["demo"].architectures()) == 4
    assert SPACES["demo"].trials >= 8


def test_full_holds_the_published_values():
    full = SPACES["full"]
    assert len(full.architectures()) == 3 * 2 * 2
    assert full.axes["loss.adversarial_weight"].examples() == (1e-4, 1e-1)
    assert "loss.content_weight" not in full.axes, "Adam hardly sees a common factor on all losses"


def test_a_grid_is_tried_whole_and_an_ablation_stops_nobody():
    for name in ("architecture", "ablation"):
        space = SPACES[name]
        assert space.sampler == "grid"
        assert len(space.grid()) == space.trials == len({str(p) for p in space.grid()})
    ablation = SPACES["ablation"]
    assert (ablation.stopping, ablation.confirm_top, ablation.confirm_seeds) == ("none", 8, 5)
    assert len(SPACES["architecture"].architectures()) == 18
    assert SPACES["optimizer"].architectures() == [{}]


def test_every_axis_is_a_setting():
    known = flatten(RECIPES["demo"]())
    assert all(n in known for s in SPACES.values() for n in s.axes)
    override(RECIPES["demo"](), {})


def test_an_unknown_space_is_named_with_the_known_ones():
    with pytest.raises(UserError, match=r"no space 'ful'; known: .*full.*; did you mean 'full'"):
        build("ful")


@pytest.mark.parametrize("name", ["photos", "photos_small"])
def test_sweeps_of_photographs_begin_with_the_recipe_itself(name):
    config = RECIPES[name]()
    (first, *_) = build(name).beginning_with(config).points
    assert set(first) == set(build(name).axes)
    assert override(config, settings_of(first)) == config
