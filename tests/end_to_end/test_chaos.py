"""Kills at moments drawn from a seed, counted, in every stage: of a trial's process, of the driver, and of
the raylet of a cluster's second node, whose disk goes with it.

    UPSWEEP_CHAOS_KILLS=20 pytest -m slow -s tests/end_to_end/test_chaos.py

Deterministic setting (designs drawn before, nobody stopped): the leaderboard and MLflow's numbers equal those
of an undisturbed sweep to the bit. Adaptive setting (TPE, early stopping): decisions depend on the order of
arrival, so what is checked is that nothing is lost, doubled or decided twice, and that every curve is that of
its design alone.
"""

import os
import random
from pathlib import Path

import pytest
from helpers import two_nodes
from helpers.chaos import (
    Sweep,
    bare,
    curves_are_their_designs_own,
    decisions_hold,
    differences,
    fire,
    nothing_lost_or_doubled,
    recorded,
)

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for trials in /proc"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(14400),
]
KILLS = int(os.environ.get("UPSWEEP_CHAOS_KILLS", "4"))
"""Of each kind, in each setting and place."""
SEED = int(os.environ.get("UPSWEEP_CHAOS_SEED", "0"))
DETERMINISTIC = ["--sampler", "grid", "--stopping", "none"]
ADAPTIVE = ["--sampler", "tpe", "--trials", "6", "--stopping", "feasible_first"]
# place -> what is killed there
KINDS = {"machine": ("driver", "trial"), "cluster": ("driver", "trial", "raylet")}
PLACES = [
    "machine",
    pytest.param(
        "cluster", marks=pytest.mark.skipif(not two_nodes.possible(), reason="needs mount namespaces")
    ),
]


def go(words, check, place, label):
    """All kills of one setting on one place, and that each kind hit as often as asked."""
    kinds = KINDS[place]
    hit = fire(words, kinds, check, KILLS, f"{label}, {place}", SEED, nodes=place == "cluster")
    assert hit == dict.fromkeys(kinds, KILLS)


@pytest.fixture(scope="module")
def undisturbed():
    """Leaderboard and MLflow's numbers of a sweep on this machine that nobody disturbed."""
    sweep = Sweep(DETERMINISTIC)
    try:
        assert sweep.under_fire([], random.Random(0)) == []
        rows = bare(sweep.rows())
        stages = {"confirm": 2, "repeat": 4, "screen": 4, "test": 3, "warm": 5}
        assert [r["stage"] for r in rows] == [s for s, n in stages.items() for _ in range(n)]
        return rows, recorded(sweep)
    finally:
        sweep.close()


@pytest.mark.parametrize("place", PLACES)
def test_deterministic_setting_gives_the_same_leaderboard_to_the_bit(undisturbed, place):
    rows, numbers = undisturbed

    def check(sweep):
        nothing_lost_or_doubled(sweep)
        assert differences(bare(sweep.rows()), rows) == []
        assert recorded(sweep) == numbers

    go(DETERMINISTIC, check, place, "deterministic")


@pytest.mark.parametrize("place", PLACES)
def test_adaptive_setting_keeps_its_word(place):
    def check(sweep):
        nothing_lost_or_doubled(sweep)
        rows = [r for r in sweep.rows() if r["stage"] == "screen"]
        assert len(rows) == 6
        decisions_hold(sweep, rows)
        rows += [r for r in sweep.rows() if r["stage"] in ("repeat", "confirm")]
        curves_are_their_designs_own(sweep, rows)

    go(ADAPTIVE, check, place, "adaptive")
