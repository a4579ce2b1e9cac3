"""Recipes of the SRGAN family: published sizes, units of the losses, and stages that follow each other."""

import pytest
import torch
from helpers.tiny import Loader, Measure, small_recipe

from datasets.errors import UserError
from experiments import recipes
from experiments.recipes import srgan
from trainers import checkpoint
from trainers.config import override
from trainers.losses import pixel_loss
from trainers.models import build_generator
from trainers.monitor import FolderMonitor
from trainers.state import new_state
from trainers.training import TrainingRun

CPU = torch.device("cpu")


def parameters(name):
    with torch.device("meta"):
        return sum(p.numel() for p in build_generator(recipes.build(name).generator).parameters())


def test_generators_have_the_published_number_of_parameters():
    assert (parameters("srresnet"), parameters("srgan_leftthomas")) == (1_547_350, 734_219)


def test_the_pixel_weight_is_in_the_units_of_the_code_it_follows():
    """Takano's code measures pixels on [0, 1]: l2 there is a quarter of ours."""
    hr = torch.zeros(1, 3, 4, 4)
    weight = recipes.build("srgan_leftthomas").loss.pixel_weight
    assert weight * pixel_loss("l2", hr + 0.1, hr) == pytest.approx(0.1**2)


def test_a_stage_keeps_what_fits_of_the_one_before(tmp_path):
    first, second = (small_recipe(srgan.staged_upsampler(stage)) for stage in (1, 2))
    before = new_state(first, "gan", CPU)
    folder = checkpoint.save(tmp_path / "first", first, before)

    def start(config):
        monitor = FolderMonitor(tmp_path / "run", config)
        return TrainingRun(config, Loader(), Measure(), monitor, CPU).initial_state()

    fresh, kept = start(second), start(override(second, {"run.start_from": str(folder)}))
    old, new, drawn = (s.generator.state_dict() for s in (before, kept, fresh))
    assert all(torch.equal(new[k], old[k]) for k in new if k.startswith(("head", "blocks", "tail")))
    replaced = [k for k in new if k not in old or old[k].shape != new[k].shape]
    assert replaced and all(torch.equal(new[k], drawn[k]) for k in replaced)
    other = override(second, {"run.start_from": str(folder), "generator.channels": 16})
    with pytest.raises(UserError, match="nothing in .*first fits this generator; change run.start_from"):
        start(other)
