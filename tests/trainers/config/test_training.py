"""Settings of optimisation, run and objectives: limits of each field and rules across sections."""

import dataclasses
import inspect

import pytest
from helpers.tiny import tiny

from datasets.errors import UserError
from trainers.config import ObjectiveConfig, OptimConfig, RunConfig


@pytest.mark.parametrize("section", [OptimConfig, RunConfig, ObjectiveConfig])
def test_every_field_has_a_line_that_explains_it(section):
    source = inspect.getsource(section)
    for field in dataclasses.fields(section):
        after = source.split(f"    {field.name}: ")[1].split("\n")[1]
        assert after.strip().startswith('"""'), field.name


@pytest.mark.parametrize("field", ["beta1", "beta2", "momentum", "warm_up"])
def test_fractions_of_the_optimizer_are_below_one(field):
    assert getattr(OptimConfig(**{field: 0.0}), field) == 0.0
    for value in (1.0, -0.1):
        with pytest.raises(UserError, match=rf"optim.{field} must be in \[0, 1\), but got {value}"):
            OptimConfig(**{field: value})


def test_both_phases_have_a_schedule_that_is_known():
    for field in ("psnr_schedule", "gan_schedule"):
        with pytest.raises(UserError, match=rf"no schedule 'exp'; known: .* \(set optim.{field}\)"):
            OptimConfig(**{field: "exp"})


def test_compilation_and_second_derivatives_exclude_each_other():
    tiny(run__compile=True)
    with pytest.raises(UserError, match="run.compile cannot differentiate twice"):
        tiny(run__compile=True, loss__r1_weight=1.0)
