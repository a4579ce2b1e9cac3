"""The guard against divergence: the first value that is not finite is kept, on the device, with its step."""

import pytest
import torch
from helpers.tiny import snapshot, tiny

from trainers import divergence
from trainers.divergence import DivergenceGuard
from trainers.state import Diverged, new_state
from trainers.train_step import TrainStep

CPU = torch.device("cpu")
NAN = float("nan")


def guard(**changes):
    state = new_state(tiny(**changes), "gan", CPU)
    return state, DivergenceGuard(state)


def step(guarded, number, **values):
    guarded.begin()
    for term, value in values.items():
        guarded.record(term, torch.tensor(value))
    guarded.latch_step(number)


def test_finite_values_leave_the_flag_at_zero_and_updates_as_they_are():
    _, guarded = guard()
    step(guarded, 1, pixel=0.5, tv=1e30)
    guarded.raise_if_diverged()
    assert guarded.bad.item() == 0 and guarded.unless_bad(0.25, torch.float64).item() == 0.25
    assert {k: v.item() for k, v in guarded.values.items()} == pytest.approx({"pixel": 0.5, "tv": 1e30})


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_the_first_step_and_term_that_are_not_finite_are_raised_later(value):
    state, guarded = guard()
    step(guarded, 1, pixel=0.5, content=1.0)
    step(guarded, 2, pixel=0.5, content=value)
    step(guarded, 3, pixel=NAN, content=1.0)
    assert guarded.bad.item() == 1 and guarded.unless_bad(0.25, torch.float32).item() == 0
    with pytest.raises(Diverged, match="diverged at step 2: content is not finite"):
        guarded.raise_if_diverged()
    assert state.step == 1


def test_the_parts_of_a_term_are_averaged():
    _, guarded = guard()
    guarded.begin()
    for value in (1.0, 3.0):
        guarded.record("pixel", torch.tensor(value), parts=2)
    assert guarded.values["pixel"].item() == 2.0
    guarded.latch_step(1)
    assert len(guarded.rows) == 1 and guarded.rows[0][1] == ["pixel"]


@pytest.mark.parametrize("one_block", [True, False])
def test_running_statistics_are_those_before_the_step_that_was_not_finite(one_block):
    state, _ = guard(generator__norm="batch")
    guarded = DivergenceGuard(state, one_block=one_block)
    step(guarded, 1, pixel=0.5)
    before = snapshot(state.generator)
    step(guarded, 2, pixel=NAN)
    for buffer in state.generator.buffers():
        buffer.fill_(9)
    guarded.begin()
    with pytest.raises(Diverged):
        guarded.raise_if_diverged()
    after = snapshot(state.generator)
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_buffers_of_networks_that_are_compiled_stay_apart():
    """torch.compile refuses to change several inputs that are views of one piece of memory."""
    config = tiny(run__compile=True, generator__norm="batch")
    state = new_state(config, "gan", CPU)
    TrainStep(config, state)
    where = [b.untyped_storage().data_ptr() for b in state.generator.buffers()]
    assert len(set(where)) == len(where) > 3


def test_rows_do_not_pile_up_in_a_run_that_never_asks(monkeypatch):
    monkeypatch.setattr(divergence, "MAX_ROWS", 3)
    _, guarded = guard()
    for number in range(1, 8):
        step(guarded, number, pixel=0.5)
    assert len(guarded.rows) == 1
