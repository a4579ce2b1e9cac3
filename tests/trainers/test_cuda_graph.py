"""A recorded step trains as the step itself does: bit for bit, through changing rates, and when it diverges.

A tape of operations stands for the CUDA graph: it repeats them on the memory that they had when recorded.
"""

import pytest
import torch
from helpers.tiny import batch, moments, same, snapshot, tiny
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainers.cuda_graph import WARM_UP, GraphedStep, accelerated
from trainers.optimizers import set_rate
from trainers.state import Diverged, new_state
from trainers.step_losses import build_features
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
CONTENT = {"loss__content_weight": 0.3, "loss__content_scale": 0.1}
RATE = 2.0**-10


class Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


def taped(work):
    """Run `work`; return a function that repeats its operations, but not at its first call."""
    with Tape() as tape:
        work()
    ran = [True]

    @torch.no_grad()
    def replay():
        if ran.pop() if ran else False:
            return
        for func, args, kwargs, out in tape.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    return replay


def trained(config, graph, phase="gan", steps=WARM_UP + 5, spoilt=None):
    """Return weights, moments, averages and values after some steps; the rate halves on the way."""
    state = new_state(config, phase, CPU)
    step = TrainStep(config, state, build_features(config, CPU) if phase == "gan" else None)
    advance = GraphedStep(step, taped) if graph else step
    diverged = None
    for index in range(steps):
        for optimizer in filter(None, (state.opt_g, state.opt_d)):
            set_rate(optimizer, RATE if index < WARM_UP + 2 else RATE / 2)
        hr, lr_image = batch(index)
        advance(hr * float("nan") if index == spoilt else hr, lr_image, None)
        state.step += 1
    try:
        step.check()
    except Diverged as error:
        diverged = (error.step, error.term, state.step)
    values = step.read() if diverged is None else {}
    optimizers = {k: moments(o) for k, o in (("g", state.opt_g), ("d", state.opt_d)) if o}
    flat = {f"{k}.{n}": v for k, m in optimizers.items() for n, v in m.items()}
    return snapshot(state.generator, state.ema, state.discriminator) | flat, values, diverged


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optim__update_order": "simultaneous"},
        {"run__precision": "bf16"},
        {"optim__micro_batches": 2, "optim__clip_norm": 0.1},
        {"loss__adversarial": "relativistic", "loss__r1_weight": 1.0},
    ],
    ids=["d first", "simultaneous", "bf16", "parts, clipped", "relativistic, r1"],
)
def test_replays_train_as_the_step_does(changes):
    config = tiny(**CONTENT, **changes)
    (plain, values, _), (graph, again, _) = (trained(config, on) for on in (False, True))
    assert same(plain, graph)
    assert values == again


def test_the_psnr_phase_is_recorded_too():
    (plain, _, _), (graph, _, _) = (trained(tiny(), on, phase="psnr") for on in (False, True))
    assert same(plain, graph)


def test_a_replay_that_is_not_finite_is_named_and_nothing_moves_after_it():
    config, bad = tiny(**CONTENT), WARM_UP + 3
    (plain, _, expected), (graph, _, diverged) = (trained(config, on, spoilt=bad) for on in (False, True))
    assert diverged == expected and diverged[0] == bad + 1
    assert same(plain, graph)


def test_settings_of_the_optimizers_are_as_before_after_the_recording():
    config = tiny()
    state = new_state(config, "gan", CPU)
    advance = GraphedStep(TrainStep(config, state), taped)
    for index in range(WARM_UP + 2):
        advance(*batch(index), None)
    assert all(type(g["lr"]) is float and g["capturable"] is False for g in state.opt_g.param_groups)


def test_a_batch_of_another_size_is_an_ordinary_step():
    ends = []
    for wrap in (lambda step: GraphedStep(step, taped), lambda step: step):
        state = new_state(tiny(), "gan", CPU)
        advance = wrap(TrainStep(tiny(), state))
        for index in range(WARM_UP + 3):
            for optimizer in (state.opt_g, state.opt_d):
                set_rate(optimizer, RATE)
            advance(*batch(index, count=2 if index == WARM_UP + 1 else 4), None)
            state.step += 1
        ends.append(snapshot(state.generator, state.ema, state.discriminator))
    assert same(*ends)


def test_a_step_that_cuda_does_not_record_goes_on_without_and_says_so_once():
    def refuses(work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")

    state = new_state(tiny(), "gan", CPU)
    step = TrainStep(tiny(), state)
    advance = GraphedStep(step, refuses)
    with pytest.warns(
        UserWarning, match="not recorded, which is slower: operation not permitted.*capturing$"
    ) as said:
        for index in range(WARM_UP + 3):
            advance(*batch(index), None)
            state.step += 1
    assert len(said) == 1 and advance.replay is None
    assert isinstance(state.opt_g.param_groups[0]["lr"], float)
    assert [row[0] for row in step.guard.rows][:1] == [WARM_UP + 1], (
        "rows of the failed recording are forgotten"
    )
    step.check()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_graph_on_a_gpu_trains_as_the_step_does_to_the_bit(precision):
    device, ends = torch.device("cuda"), []
    config = tiny(**CONTENT, run__precision=precision, run__device="cuda")
    for wrap in (accelerated, lambda step: step):
        state = new_state(config, "gan", device)
        advance = wrap(TrainStep(config, state, build_features(config, device)))
        for index in range(WARM_UP + 5):
            for optimizer in (state.opt_g, state.opt_d):
                set_rate(optimizer, RATE / (1 + index % 2))
            advance(*(x.to(device) for x in batch(index)), None)
            state.step += 1
        ends.append(snapshot(state.generator, state.ema, state.discriminator) | moments(state.opt_g))
    assert same(*ends)


@pytest.mark.parametrize("changes", [{"run__cuda_graph": False}, {"run__cuda_graph": True}])
def test_a_cpu_has_no_graphs(changes):
    config = tiny(**changes)
    step = TrainStep(config, new_state(config, "psnr", CPU))
    assert accelerated(step) is step
