"""Two processes train as one: the same weights, and what cannot be the same is refused."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tiny import batch, snapshot, tiny

from datasets.errors import UserError
from trainers.ranks import ALONE, Ranks, joined, refuse_unsynchronised
from trainers.state import Diverged, new_state
from trainers.steps import Step, build_features

CPU = torch.device("cpu")
FREE = {"generator__norm": "none", "discriminator__norm": "none", "loss__adversarial": "relativistic"}
ORDERS = ("d_first", "simultaneous")


def config(order):
    content = {"loss__content_weight": 0.3, "loss__tv_weight": 1e-3, "optim__clip_norm": 0.5}
    return tiny(optim__update_order=order, **FREE, **content)


def trained(order, ranks, spoilt=False):
    """Three steps on this rank's share of the batches, in fp64."""
    settings = config(order)
    state = new_state(settings, "gan", CPU)
    for module in (state.generator, state.ema, state.discriminator):
        module.double()
    step = Step(settings, state, build_features(settings, CPU).double(), ranks)
    mine = slice(ranks.rank, None, ranks.world)
    for index in range(3):
        hr, lr_image = (t[mine] for t in batch(index, dtype=torch.float64))
        if spoilt and index == 1 and ranks.rank == 1:
            hr = hr * float("nan")
        step(hr, lr_image)
        state.step += 1
    step.check()
    return snapshot(state.generator, state.discriminator, state.ema)


def work(rank, port, folder):
    """One rank; writes what it ended with."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    ranks = Ranks(rank, 2)
    ended = {order: trained(order, ranks) for order in ORDERS}
    try:
        trained("d_first", ranks, spoilt=True)
    except Diverged as diverged:
        ended["diverged"] = (diverged.step, diverged.term)
    ended["any"] = (ranks.any(rank == 1), ranks.any(False))
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


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_two_processes_end_as_one_does(two, order):
    alone = trained(order, ALONE)
    for ended in two:
        torch.testing.assert_close(ended[order], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_what_is_not_finite_on_one_rank_stops_all_at_the_same_step_and_term(two):
    assert [ended["diverged"] for ended in two] == [(2, "discriminator")] * 2


@pytest.mark.slow
def test_ranks_agree_on_a_flag(two):
    assert [ended["any"] for ended in two] == [(True, False)] * 2


def test_norms_over_a_share_of_the_batch_are_refused():
    with pytest.raises(
        UserError, match="discriminator.norm batch is not synchronised.* set discriminator.norm none"
    ):
        refuse_unsynchronised(tiny(generator__norm="none"))
    with pytest.raises(UserError, match="generator.norm batch is not synchronised"):
        refuse_unsynchronised(tiny())
    refuse_unsynchronised(tiny(generator__norm="none", run__gan_steps=0))


def test_without_torchrun_one_process_is_alone():
    with joined(tiny(), CPU) as (ranks, device):
        assert ranks is ALONE and device == CPU and ranks.any(True) and not ranks.any(False)


def test_torchrun_with_batch_norm_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="generator.norm batch"), joined(tiny(), CPU):
        pass
