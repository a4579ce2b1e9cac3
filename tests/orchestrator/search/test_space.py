"""Spaces: counted, checked against the config before anything starts, and nothing but data."""

import pickle

import optuna
import pytest

from datasets.errors import UserError
from orchestrator.search.space import Choice, Derived, LogFloat, Space
from trainers.config import TrainConfig, override

BLOCKS, NORM, UP = "generator.num_blocks", "generator.norm", "generator.upsampler"
ADV, PIXEL = "loss.adversarial_weight", "loss.pixel_weight"


def space(axes, **more):
    return Space(name="mine", axes=axes, **more)


def drawn(s, count=40, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [s(study.ask()) for _ in range(count)]


def test_architectures_are_the_axes_that_decide_a_psnr_phase():
    s = space({BLOCKS: Choice((2, 4, 8)), NORM: Choice(("batch", "none")), ADV: LogFloat(1e-3, 1)})
    found = s.architectures()
    assert len(found) == 6
    assert {BLOCKS: 4, NORM: "none"} in found
    assert space({ADV: LogFloat(1e-3, 1)}).architectures() == [{}], "the recipe's own"
    # the pixel loss is the one loss that the PSNR phase knows
    assert len(space({"loss.pixel": Choice(("l1", "l2")), PIXEL: Choice((0, 1))}).architectures()) == 2


def test_a_fidelity_sweep_varies_the_psnr_phase_and_its_architectures_are_its_networks():
    axes = {BLOCKS: Choice((2, 4)), "optim.lr_psnr": LogFloat(1e-4, 1e-3), "loss.pixel": Choice(("l1", "l2"))}
    s, config = space(axes, fidelity=True), override(TrainConfig(), {"run.gan_steps": 0})
    s.check(config)
    assert s.architectures() == [{BLOCKS: 2}, {BLOCKS: 4}], "a rate may be continuous: no warm start has it"
    fast = space(axes, fidelity=True, excluded=({BLOCKS: 4},))
    assert fast.allows({BLOCKS: 2, "optim.lr_psnr": 2e-4}) and not fast.allows(
        {BLOCKS: 4, "loss.pixel": "l2"}
    )
    for axis, sentence in (
        (ADV, "loss.adversarial_weight has no effect without a GAN phase"),
        ("run.psnr_steps", "without a GAN phase all trials need the same run.psnr_steps"),
    ):
        with pytest.raises(UserError, match=sentence):
            space({axis: Choice((1, 2))}, fidelity=True).check(config)


def test_a_derived_axis_keeps_a_fraction_of_the_grid():
    table = (((2, "batch"), "pixel_shuffle"), ((2, "none"), "transposed_conv"))
    table += (((4, "batch"), "transposed_conv"), ((4, "none"), "pixel_shuffle"))
    axes = {BLOCKS: Choice((2, 4)), NORM: Choice(("batch", "none")), UP: Derived((BLOCKS, NORM), table)}
    assert len(space(axes).architectures()) == 4
    assert all(d[UP] == dict(table)[d[BLOCKS], d[NORM]] for d in drawn(space(axes)))


def test_a_conditional_axis_is_drawn_only_where_its_condition_holds():
    icnr = "generator.icnr"
    axes = {UP: Choice(("pixel_shuffle", "transposed_conv")), icnr: Choice((False, True))}
    s = space(axes, only_if={icnr: {UP: "pixel_shuffle"}})
    assert len(s.architectures()) == 3
    assert all((icnr in d) == (d[UP] == "pixel_shuffle") for d in drawn(s))
    s.check(TrainConfig())
    with pytest.raises(UserError, match="generator.icnr belongs to pixel_shuffle only"):
        space(axes).check(TrainConfig())


def test_or_zero_is_a_switch_beside_a_logarithmic_scale():
    values = [d[PIXEL] for d in drawn(space({PIXEL: LogFloat(1e-3, 1, or_zero=True)}), 60)]
    assert 15 < values.count(0.0) < 45
    assert all(v == 0 or 1e-3 <= v <= 1 for v in values)
    assert sum(0 < v < 0.03 for v in values) > 5, "half of a logarithmic scale lies below its middle"


def test_a_given_point_reaches_optuna_as_it_stands():
    point = {BLOCKS: 4, PIXEL + "?": True, PIXEL: 0.5}
    s = space({BLOCKS: Choice((2, 4)), PIXEL: LogFloat(1e-3, 1, or_zero=True)}, points=(point,))
    s.check(TrainConfig())
    study = optuna.create_study()
    study.enqueue_trial(point)
    assert s(study.ask()) == {BLOCKS: 4, PIXEL: 0.5}


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        ({"generator.num_block": Choice((2,))}, "no setting 'generator.num_block'; did you mean"),
        ({NORM: Choice(("batch", "bach"))}, "no norm 'bach'"),
        ({BLOCKS: Choice((4, 0))}, "generator.num_blocks must be at least 1, but got 0"),
        ({"optim.lr_psnr": LogFloat(1e-5, 1e-3)}, "changes the PSNR phase, so it must be a list of values"),
        ({"generator.scale": Choice((2, 4))}, "decides how results are measured"),
        ({"data.degradation": Choice(("matlab", "pil"))}, "decides how results are measured"),
        ({"objective.delta_db": Choice((1.0, 2.0))}, "decides how results are measured"),
        ({"run.gan_steps": Choice((10, 20))}, "decides how results are measured"),
    ],
)
def test_a_space_that_cannot_be_swept_is_refused(axes, sentence):
    with pytest.raises(UserError, match=sentence):
        space(axes).check(TrainConfig())


@pytest.mark.parametrize(
    ("point", "sentence"),
    [
        ({BLOCKS: 3}, "sets generator.num_blocks to 3, off its axis"),
        ({ADV: 5.0}, "sets loss.adversarial_weight to 5.0, off its axis"),
        ({NORM: "none"}, "sets generator.norm, which is not an axis"),
    ],
)
def test_a_point_outside_the_space_is_refused(point, sentence):
    s = space({BLOCKS: Choice((2, 4)), ADV: LogFloat(1e-3, 1)}, points=(point,))
    with pytest.raises(UserError, match=sentence):
        s.check(TrainConfig())


def test_a_very_large_space_is_checked_in_a_sample():
    axes = {
        f"loss.{w}_weight": Choice(tuple(range(1, 40))) for w in ("pixel", "content", "adversarial", "tv")
    }
    space(axes).check(TrainConfig())


def test_a_space_is_plain_data():
    s = space({BLOCKS: Choice((2, 4)), ADV: LogFloat(1e-3, 1)}, points=({BLOCKS: 4},))
    assert pickle.loads(pickle.dumps(s)) == s


def test_a_grid_holds_every_design_once_as_the_sampler_knows_it():
    table = (((2,), "batch"), ((4,), "none"))
    axes = {BLOCKS: Choice((2, 4)), NORM: Derived((BLOCKS,), table)}
    axes |= {UP: Choice(("pixel_shuffle", "transposed_conv")), "generator.icnr": Choice((True, False))}
    s = space(axes, only_if={"generator.icnr": {UP: "pixel_shuffle"}})
    assert len(s.grid()) == 2 * 3 == len({str(p) for p in s.grid()})
    s = space(axes, only_if=s.only_if, points=s.grid())
    s.check(TrainConfig())
    study = optuna.create_study()
    for point in s.grid():
        study.enqueue_trial(point)
        assert point.items() <= s(study.ask()).items()


def test_a_grid_over_a_continuous_axis_is_refused():
    with pytest.raises(UserError, match="adversarial_weight runs from 0.001 to 1 and has no grid; give it a"):
        space({ADV: LogFloat(1e-3, 1)}).grid()


def test_a_space_without_points_begins_with_the_design_of_the_recipe():
    """A sweep of two designs drew two random ones, and the recipe's own was none of them."""
    config = override(TrainConfig(), {BLOCKS: 8, UP: "pixel_shuffle", ADV: 1e-3, PIXEL: 0.0})
    axes = {BLOCKS: Choice((4, 8)), ADV: LogFloat(1e-4, 1), PIXEL: LogFloat(1e-3, 1, or_zero=True)}
    begun = space(axes).beginning_with(config)
    begun.check(config)
    assert begun.points == ({BLOCKS: 8, ADV: 1e-3, PIXEL + "?": False},)
    on = space(axes).beginning_with(override(config, {PIXEL: 0.1}))
    assert on.points == ({BLOCKS: 8, ADV: 1e-3, PIXEL + "?": True, PIXEL: 0.1},)
    own = space(axes, points=({BLOCKS: 4},))
    assert own.beginning_with(config) == own, "a space that names its points"
    off = space({**axes, BLOCKS: Choice((4, 16))})
    assert off.beginning_with(config) == off, "the recipe's design is off an axis"
    followed = space({**axes, UP: Derived((BLOCKS,), (((4,), "transposed_conv"), ((8,), "pixel_shuffle")))})
    assert followed.beginning_with(config) == followed
    unknown_axis = space({"generator.blocks": Choice((1, 2))})
    assert unknown_axis.beginning_with(config) == unknown_axis, "check says what is wrong"
