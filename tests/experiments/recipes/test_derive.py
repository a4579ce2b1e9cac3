"""A derived recipe has its own name and differs in the settings given only."""

import pytest

from datasets.errors import UserError
from experiments.recipes.demo import demo
from experiments.recipes.derive import derived
from trainers.config import flatten


def test_only_the_settings_given_differ():
    config = derived(demo, "mine", {"run.psnr_steps": 7})
    before, after = flatten(demo()), flatten(config)
    assert {k: after[k] for k in after if after[k] != before[k]} == {"recipe": "mine", "run.psnr_steps": 7}


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="psnr_stepz"):
        derived(demo, "mine", {"run.psnr_stepz": 7})
