"""The forecast of a step's memory: a table of recipes, the same on a fake GPU, and faults that it shows."""

import pytest
import torch
from helpers.tiny import tiny

from experiments.recipes import build
from trainers.config import override
from trainers.memory import forecast_gib, peak_bytes

MIB = 2**20
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1}
# recipe, precision, batch -> MiB of tensors at the peak of a GAN step
TABLE = {
    ("srgan_8", "bf16", 16): 793,
}
SLOW_TABLE = {
    ("srgan_8", "fp32", 64): 4129,
    ("edges_to_photo", "bf16", 16): 3321,
    ("esrgan", "bf16", 16): 2866,
}


def mib(config, phase="gan", **more):
    return peak_bytes(config, phase, **more) / MIB


def of(name, precision, batch):
    return override(build(name), {"run.precision": precision, "data.batch_size": batch})


@pytest.mark.parametrize("row", TABLE)
def test_the_peak_of_a_recipe_is_within_a_tenth_of_the_table(row):
    assert mib(of(*row)) == pytest.approx(TABLE[row], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("row", SLOW_TABLE)
def test_the_peak_of_a_large_recipe_is_within_a_tenth_of_the_table(row):
    assert mib(of(*row)) == pytest.approx(SLOW_TABLE[row], rel=0.1)


def test_memory_follows_the_batch_its_parts_and_the_ranks():
    config = tiny(data__batch_size=16, data__crop_px=64)
    whole = mib(config)
    assert mib(override(config, {"data.batch_size": 32})) > 1.8 * whole
    assert mib(override(config, {"optim.micro_batches": 4})) < 0.5 * whole
    assert mib(config, world=4) < 0.5 * whole


@pytest.mark.slow
def test_a_run_needs_what_its_larger_phase_needs_and_the_card_more_than_tensors():
    config = tiny(data__batch_size=16, data__crop_px=64)
    gan, psnr = mib(config), mib(config, "psnr")
    assert psnr < gan
    assert forecast_gib(config) > 1 + gan / 1024
    assert forecast_gib(override(config, {"run.gan_steps": 0})) < forecast_gib(config)


def test_tensors_that_outlive_their_step_are_seen(monkeypatch):
    from trainers.train_step import TrainStep

    config, kept, update = tiny(data__batch_size=16, data__crop_px=64), [], TrainStep.update

    def hoard(self, hr, *args, **kwargs):
        update(self, hr, *args, **kwargs)
        kept.append([hr.repeat(8, 1, 1, 1) for _ in range(8)])

    before = mib(config)
    monkeypatch.setattr(TrainStep, "update", hoard)
    assert mib(config) > 1.1 * before


def test_nothing_of_the_process_changes():
    state = torch.get_rng_state()
    mib(tiny())
    assert torch.equal(torch.get_rng_state(), state)
    assert type(torch.zeros(1)) is torch.Tensor
