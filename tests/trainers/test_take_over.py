"""Weights and moments taken over from another network's checkpoint."""

from dataclasses import replace

import pytest
import torch
from helpers.tiny import batch, tiny

from datasets.errors import UserError
from trainers import checkpoint
from trainers.state import new_state
from trainers.train_step import TrainStep

CPU = torch.device("cpu")


def test_moments_go_by_the_name_of_their_weight(tmp_path):
    first = tiny(run__psnr_steps=0, generator__upsampler="interp_transposed", loss__pixel_weight=1.0)
    state = new_state(first, "gan", CPU)
    TrainStep(first, state)(*batch())
    state.step = 1
    checkpoint.save(tmp_path / "before", first, state)
    second = replace(first, generator=replace(first.generator, upsampler="transposed_conv"))
    after = new_state(second, "gan", CPU)
    checkpoint.take_over(tmp_path / "before", after, CPU)
    names = [name for name, _ in after.generator.named_parameters()]
    moments = after.opt_g.state_dict()["state"]
    old = {n: state.opt_g.state[p] for n, p in state.generator.named_parameters()}
    assert 0 < len(moments) < len(names), "the new doubling begins without"
    for i, values in moments.items():
        assert (values["exp_avg"] == old[names[i]]["exp_avg"]).all()
    assert len(after.opt_d.state_dict()["state"]) == len(list(after.discriminator.parameters()))
    psnr = new_state(second, "psnr", CPU)
    with pytest.raises(UserError, match="ended in its gan phase, this run begins with psnr"):
        checkpoint.take_over(tmp_path / "before", psnr, CPU)
