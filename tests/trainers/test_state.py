"""What a run is made of: networks drawn from seeds, averages, optimizers and their groups."""

import pickle

import pytest
import torch
from helpers.tiny import same, snapshot, tiny

from trainers.optimizers import set_rate
from trainers.state import Diverged, Stopped, new_state

CPU = torch.device("cpu")


def test_a_phase_brings_what_it_needs():
    psnr, gan = new_state(tiny(), "psnr", CPU), new_state(tiny(), "gan", CPU)
    assert psnr.discriminator is None and psnr.opt_d is None
    assert gan.discriminator is not None and gan.opt_d is not None
    for state in (psnr, gan):
        assert state.generator.training and not state.ema.training
        assert not any(p.requires_grad for p in state.ema.parameters())
        assert same(snapshot(state.generator), snapshot(state.ema))


def test_given_weights_are_where_both_copies_start():
    weights = new_state(tiny(run__seed=9), "psnr", CPU).generator.state_dict()
    state = new_state(tiny(), "gan", CPU, weights)
    given = {f"0.{k}": v for k, v in weights.items()}
    assert same(snapshot(state.generator), given) and same(snapshot(state.ema), given)


@pytest.mark.parametrize(("kind", "made"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_the_last_convolution_has_a_group_of_its_own_where_its_rate_differs(kind, made):
    plain = new_state(tiny(optim__kind=kind), "gan", CPU)
    apart = new_state(tiny(optim__kind=kind, optim__lr_tail_factor=0.1), "gan", CPU)
    assert isinstance(plain.opt_g, made) and len(plain.opt_g.param_groups) == 1
    assert [g["lr"] for g in apart.opt_g.param_groups] == pytest.approx([1e-3, 1e-4])
    counted = sum(len(g["params"]) for g in apart.opt_g.param_groups)
    assert counted == len(list(apart.generator.parameters()))
    set_rate(apart.opt_g, 1.0)
    assert [g["lr"] for g in apart.opt_g.param_groups] == pytest.approx([1.0, 0.1])
    assert len(apart.opt_d.param_groups) == 1, "a discriminator has no last convolution of this kind"


def test_adamw_takes_a_share_of_every_weight_off_that_has_no_gradient():
    state = new_state(tiny(optim__kind="adamw", optim__weight_decay=0.5, optim__lr_g=0.1), "gan", CPU)
    weight = next(state.generator.parameters())
    before = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    state.opt_g.step()
    torch.testing.assert_close(weight.detach(), before * (1 - 0.1 * 0.5))


def test_the_ends_of_a_run_travel_between_processes():
    diverged = pickle.loads(pickle.dumps(Diverged(7, "content")))
    assert (diverged.step, diverged.term) == (7, "content")
    assert str(diverged) == "diverged at step 7: content is not finite"
    assert str(pickle.loads(pickle.dumps(Stopped("gan", 3)))) == "stopped at step 3 of the gan phase"
