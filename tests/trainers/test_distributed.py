"""Two processes train as one: the same weights, batch norm included; what cannot be the same is refused."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from helpers.tiny import batch, snapshot, tiny

from trainers.distributed import ALONE, Ranks, joined
from trainers.models.batch_norm import recalibrate_batch_norm
from trainers.state import Diverged, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
ORDERS = ("d_first", "simultaneous")
EXTRAS = {
    "": {},
    "r1": {"loss__r1_weight": 1.0},  # second derivatives of synchronised moments
    "parts": {"optim__micro_batches": 2},
    "wgan_gp": {
        "loss__adversarial": "wgan_gp",
        "loss__gradient_penalty_weight": 10.0,
        "discriminator__norm": "layer",
    },
}
CASES = [
    *((order, norm, "") for order in ORDERS for norm in ("none", "batch")),
    ("simultaneous", "batch", "r1"),
    ("d_first", "batch", "parts"),
    ("d_first", "batch", "wgan_gp"),
]


def config(order, norm, extra):
    content = {"loss__content_weight": 0.3, "loss__tv_weight": 1e-3, "optim__clip_norm": 0.5}
    norms = {"generator__norm": norm, "discriminator__norm": norm}
    settings = {"loss__adversarial": "relativistic", **norms, **content, **EXTRAS[extra]}
    return tiny(optim__update_order=order, **settings)


def trained(order, norm, extra, ranks, spoilt=False):
    """Three steps on this rank's share of the batches, in fp64; averaged weights get moments of their own.

    Returned are weights and running statistics, logged losses, and the gradients of the first step.
    """
    settings = config(order, norm, extra)
    state = new_state(settings, "gan", CPU)
    for module in (state.generator, state.ema, state.discriminator):
        module.double()
    step = TrainStep(settings, state, build_features(settings, CPU).double(), ranks)
    mine = slice(ranks.rank, None, ranks.world)
    gradients = {}
    for index in range(3):
        hr, lr_image = (t[mine] for t in batch(index, dtype=torch.float64))
        if spoilt and index == 1 and ranks.rank == 1:
            hr = hr * float("nan")
        step(hr, lr_image)
        state.step += 1
        if index == 0:
            for name, optimizer in (("g", state.opt_g), ("d", state.opt_d)):
                moments = [moment["exp_avg"].clone() for moment in optimizer.state.values()]
                gradients |= {f"{name}.{k}": moment for k, moment in enumerate(moments)}
    step.check()
    recalibrate_batch_norm(state.ema, [batch(index, dtype=torch.float64)[1][mine] for index in range(2)])
    ended = snapshot(state.generator, state.discriminator, state.ema)
    weights = {name: value for name, value in ended.items() if "num_batches_tracked" not in name}
    return weights, step.guard.values, gradients


def work(rank, port, folder):
    """One rank; writes what it ended with."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    ranks = Ranks(rank, 2)
    ended = {case: trained(*case, ranks) for case in CASES}
    try:
        trained("d_first", "none", "", ranks, spoilt=True)
    except Diverged as diverged:
        ended["diverged"] = (diverged.step, diverged.term)
    ended["any"] = (ranks.any(rank == 1), ranks.any(False), ranks.total(rank + 0.25))
    ranks.wait()
    torch.save(ended, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_two_processes_end_as_one_does(two, case):
    weights, losses, gradients = trained(*case, ALONE)
    for ended in two:
        its_weights, its_losses, its_gradients = ended[case]
        torch.testing.assert_close(its_gradients, gradients, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(its_weights, weights, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(its_losses, losses)  # in fp32


def test_what_is_not_finite_on_one_rank_stops_all_at_the_same_step_and_term(two):
    assert [ended["diverged"] for ended in two] == [(2, "discriminator")] * 2


def test_ranks_agree_on_a_flag_and_on_a_sum(two):
    assert [ended["any"] for ended in two] == [(True, False, 1.5)] * 2


def test_without_torchrun_one_process_is_alone():
    with joined(CPU) as (ranks, device):
        assert ranks is ALONE and device == CPU and ranks.any(True) and not ranks.any(False)
