"""Seconds of a training step: what is counted, by which clock, and which phases are timed."""

import itertools

import pytest
import torch
from helpers.tiny import batch, tiny

from trainers.step_timing import time_step, timed

CPU = torch.device("cpu")


class Clock:
    """A clock that only calls move."""

    def __init__(self, durations):
        self.now, self.durations = 0.0, iter(durations)

    def call(self):
        self.now += next(self.durations)

    def __call__(self):
        return self.now


def test_warm_up_calls_are_not_counted():
    clock = Clock([50.0, 7.0, 1.0, 2.0, 3.0])
    assert timed(clock.call, CPU, warm_up=2, at_least=3, seconds=0, clock=clock) == 2.0


def test_calls_repeat_until_the_time_has_passed():
    clock = Clock(itertools.repeat(0.25))
    assert timed(clock.call, CPU, warm_up=0, at_least=1, seconds=1.0, clock=clock) == 0.25
    assert clock.now == 1.0


def test_each_phase_asked_for_is_timed_on_its_own_batches():
    taken = []

    def batches():
        for index in itertools.count():
            taken.append(index)
            yield batch(index)

    def once(call, device):
        call()
        return float(len(taken))

    assert time_step(tiny(), batches(), CPU, timer=once) == {"psnr": 1.0, "gan": 2.0}
    assert set(time_step(tiny(), batches(), CPU, ("gan",), once)) == {"gan"}


def test_the_default_timer_measures_a_real_step(monkeypatch):
    seconds = time_step(tiny(), (batch(i) for i in itertools.count()), CPU, ("psnr",))
    assert 0 < seconds["psnr"] < 10
    with pytest.raises(StopIteration):
        time_step(tiny(), iter(()), CPU, ("psnr",))
