"""What shared warm starts and early stopping save, in training steps, on recorded curves of real training.

Steps are counted, not timed, so a rule that saves less or finds less fails here. The whole table and what it
is measured on: tests/bench/sweep.py.
"""

import statistics

import pytest
from helpers import benches

TRIALS, SEEDS = 64, 10


@pytest.fixture(scope="module")
def bench():
    return benches.load("sweep")


@pytest.fixture(scope="module")
def recorded(bench):
    return bench.Recorded(reduction=3)


def test_a_sweep_takes_a_quarter_of_the_steps_and_keeps_the_front(bench, recorded):
    """Against sweeps of the same sampler seeds in which every trial trains its own warm start, to the end."""
    confirm = bench.CONFIRM * (recorded.psnr_steps + recorded.gan_steps)
    arms = "no stopping", "sharing", "sharing + stopping"
    runs = [[bench.arm(recorded, arm, seed, TRIALS) for arm in arms] for seed in range(SEEDS)]
    assert statistics.median(plain.steps / ours.steps for plain, _, ours in runs) >= 4
    assert statistics.median((p.steps + confirm) / (o.steps + confirm) for p, _, o in runs) >= 2.2
    assert statistics.median(shared.steps / ours.steps for _, shared, ours in runs) >= 1.15, "it stops nobody"
    assert statistics.median(ours.volume() / plain.volume() for plain, _, ours in runs) >= 0.97
    reached = [ours.steps_to(bench.SHARE * plain.volume()) for plain, _, ours in runs]
    assert sum(steps is not None for steps in reached) >= 0.9 * SEEDS


def test_where_the_warm_starts_are_there_the_front_comes_four_times_as_soon(bench, recorded):
    arms = "no stopping", "second sweep"
    pairs = [[bench.arm(recorded, arm, seed, TRIALS) for arm in arms] for seed in range(SEEDS)]
    there = [(p.steps_to(bench.SHARE * p.volume()), o.steps_to(bench.SHARE * p.volume())) for p, o in pairs]
    assert statistics.median(plain / ours for plain, ours in there if ours) >= 4


def test_the_rule_keeps_what_asha_on_the_better_objective_finds(bench, recorded):
    """Hypervolume after the same steps: more in two families of three, and never under 0.97 of it."""
    problems = {"recorded": recorded} | bench.families.all_of(3)
    ratios = {}
    for name, problem in problems.items():
        runs = [bench.rules(problem, seed, share=0.5, trials=TRIALS) for seed in range(SEEDS)]
        total = {rule: sum(run[rule][0] for run in runs) for rule in bench.RULES}
        ratios[name] = total["feasible_first"] / max(total["ASHA on psnr_y"], total["ASHA on swd"])
    assert min(ratios.values()) >= 0.97, ratios
    assert sum(ratio > 1 for ratio in ratios.values()) >= 2, ratios
