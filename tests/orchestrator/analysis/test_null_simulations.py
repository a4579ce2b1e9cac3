"""Without any effect, verdicts and the gate err as rarely as they promise; the seeds are constant."""

import math

import numpy as np
import pytest

from orchestrator.analysis.intervals import hierarchical_bootstrap, paired_bootstrap
from orchestrator.analysis.significance import BEATS, LOSES, between_designs
from orchestrator.registry.gate import LEVEL, USES

SEED_SD, DESIGN_BY_IMAGE, RESIDUAL = 0.15, 0.25, 0.30  # dB, of small GANs in docs/results.md
IMAGES = 40


def design(draw, shared, effect=0.0, seeds=5):
    """Values [seed][image] of a design whose seeds are lucky together with those of others by `shared`."""
    own = draw.normal(size=(seeds, 1))
    seed = SEED_SD * (math.sqrt(0.5) * shared + math.sqrt(0.5) * own)
    image = DESIGN_BY_IMAGE * draw.normal(size=(1, IMAGES))
    return effect + seed + image + RESIDUAL * draw.normal(size=(seeds, IMAGES))


def family_wise_error(arms, sweeps):
    """Return the share of sweeps in which any of `arms` equal designs beats or loses to the reference."""
    draw, wrong = np.random.default_rng(arms), 0
    for _ in range(sweeps):
        shared = draw.normal(size=(5, 1))
        reference = design(draw, shared)
        compared = {
            str(k): hierarchical_bootstrap(design(draw, shared), reference, paired=True, resamples=400)
            for k in range(arms)
        }
        words = {v.word for v in between_designs(compared, "max").values()}
        wrong += bool(words & {BEATS, LOSES})
    return wrong / sweeps


def limit(rate, draws):
    """Return the rate that simulation error of three standard errors still allows."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / draws)


@pytest.mark.parametrize("arms", [1, 4])
def test_family_wise_error_of_verdicts_paired_by_seed(arms):
    assert family_wise_error(arms, 250) <= limit(0.05, 250)


@pytest.mark.slow  # minutes
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("arms", [1, 2, 4, 9])
def test_family_wise_error_of_verdicts_with_many_sweeps(arms):
    assert family_wise_error(arms, 5000) <= limit(0.05, 5000)


def test_the_headline_says_beats_without_an_effect_in_at_most_a_fortieth():
    """The headline compares one pick with its warm start; only one side of the interval is called beats."""
    draw, said = np.random.default_rng(0), 0
    for _ in range(400):
        shared = draw.normal(size=(5, 1))
        pair = design(draw, shared), design(draw, shared)
        found = {"warm": hierarchical_bootstrap(*pair, paired=True, resamples=400)}
        said += between_designs(found, "max")["warm"].word == BEATS
    assert said / 400 <= limit(0.025, 400)


def test_pairing_by_seed_gains_power_where_seeds_are_lucky_together():
    draw, found = np.random.default_rng(7), {True: 0, False: 0}
    for _ in range(200):
        shared = draw.normal(size=(5, 1))
        pair = design(draw, shared, 0.25), design(draw, shared)
        for paired in found:
            comparison = hierarchical_bootstrap(*pair, paired=paired, resamples=400)
            found[paired] += between_designs({"a": comparison}, "max")["a"].word == BEATS
    assert found[True] > found[False] > 0


def passes_in(uses, level, sets, resamples, images=IMAGES):
    """Return the share of gate sets on which one of `uses` candidates, all equal to the champion, passes."""
    draw, passed = np.random.default_rng(uses), 0
    for _ in range(sets):
        champion = draw.normal(size=images)
        candidates = (champion + 0.3 * draw.normal(size=images) for _ in range(uses))
        intervals = (paired_bootstrap(c, champion, level=level, resamples=resamples) for c in candidates)
        passed += any(interval.low > 0 for interval in intervals)
    return passed / sets


def test_twenty_uses_of_a_gate_set_pass_an_equal_candidate_as_rarely_as_one():
    assert 1 - LEVEL == pytest.approx(2 * 0.025 / USES)
    assert passes_in(USES, LEVEL, 60, 2000) <= limit(0.025, 60)
    assert passes_in(USES, 0.95, 40, 500) > 0.15, "as each use at 95 % would"


@pytest.mark.slow  # minutes
@pytest.mark.timeout(3600)
def test_twenty_uses_of_a_gate_set_with_many_sets():
    assert passes_in(USES, LEVEL, 2000, 20_000) <= limit(0.025, 2000)
