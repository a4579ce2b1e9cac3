"""Intervals of numbers as axes: what is drawn, listed and refused, in Python and in YAML."""

import random

import optuna
import pytest

from datasets.errors import UserError
from experiments.recipes.demo import demo
from orchestrator.search import space_file
from orchestrator.search.axes import Float, Int, LogFloat, LogInt
from orchestrator.search.perturb import perturb
from orchestrator.search.space import Space

YAML = """
axes:
  generator.num_blocks: {int: [2, 5]}
  loss.pixel_weight: {float: [0, 1]}
  loss.adversarial_weight: {log: [1e-3, 1e-1], or_zero: true}
  optim.lr_g: {log: [1e-5, 1e-3]}
"""


def drawn(space, count=60):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space(study.ask()) for _ in range(count)]


def test_yaml_names_each_kind_of_interval():
    space = space_file.SpaceFile("a.yaml", YAML).space()
    assert list(space.axes.values()) == [
        Int(2, 5),
        Float(0.0, 1.0),
        LogFloat(1e-3, 1e-1, True),
        LogFloat(1e-5, 1e-3),
    ]
    space.check(demo())


def test_draws_keep_to_the_interval_and_its_kind():
    space = Space(
        "a",
        {"generator.num_blocks": Int(2, 5), "loss.tv_weight": Float(0, 1), "data.batch_size": LogInt(2, 64)},
    )
    blocks, weights, batches = zip(*(d.values() for d in drawn(space)), strict=True)
    assert set(blocks) == {2, 3, 4, 5} and all(type(b) is int for b in (*blocks, *batches))
    assert min(weights) >= 0 and max(weights) <= 1 and 0.3 < sum(weights) / len(weights) < 0.7
    assert 2 <= min(batches) and max(batches) <= 64 and 20 <= sum(b < 12 for b in batches) <= 40


def test_whole_numbers_are_listed_for_warm_starts_and_a_grid_and_others_are_not():
    blocks = Space("a", {"generator.num_blocks": Int(2, 4)})
    assert [d["generator.num_blocks"] for d in blocks.architectures()] == [2, 3, 4]
    assert len(blocks.grid()) == 3
    with pytest.raises(UserError, match="generator.channels changes the PSNR phase, so it must be a list"):
        Space("a", {"generator.channels": LogInt(16, 64)}).architectures()
    with pytest.raises(UserError, match="loss.tv_weight runs from 0 to 1 and has no grid"):
        Space("a", {"loss.tv_weight": Float(0, 1)}).grid()


def test_a_perturbed_whole_number_moves_and_stays_inside():
    space = Space("a", {"data.batch_size": LogInt(1, 8), "loss.tv_weight": Float(0, 1)})
    draw, settings = random.Random(0), {"data.batch_size": 2, "loss.tv_weight": 0.5}
    seen = [perturb(space, settings, draw) for _ in range(50)]
    assert {s["data.batch_size"] for s in seen} >= {1, 3} and all(
        1 <= s["data.batch_size"] <= 8 for s in seen
    )
    assert all(0 <= s["loss.tv_weight"] <= 1 for s in seen)


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        (Int(2, 2.5), "needs whole numbers, but got 2 and 2.5"),
        (Int(3, 3), "needs low < high, but got 3 and 3"),
        (LogInt(0, 3), "on a logarithmic scale needs 0 < low < high, but got 0 and 3"),
        (Float(1, 0), "needs low < high, but got 1 and 0"),
        (Float(0, float("inf")), "needs low < high, but got 0 and inf"),
    ],
)
def test_an_interval_without_numbers_is_refused(axis, sentence):
    with pytest.raises(UserError, match=f"space a: generator.num_blocks {sentence}"):
        Space("a", {"generator.num_blocks": axis}).check(demo())


@pytest.mark.parametrize(
    "axis", ["{linear: [1, 2]}", "{int: [1, 2, 3]}", "{int: [1, 2], or_zero: true}", "{or_zero: true}", "{}"]
)
def test_yaml_that_is_not_an_interval_is_refused_with_the_kinds(axis):
    with pytest.raises(
        UserError, match=r"must be a list of values or \{KIND: .* float, int, log, log_int, but got"
    ):
        space_file.SpaceFile("a.yaml", f"axes: {{loss.tv_weight: {axis}}}").space()
