"""Simulated sweeps on recorded curves give known regrets; the whole tables: tests/bench/regret.py."""

import statistics

import pytest
from helpers import benches


@pytest.fixture(scope="module")
def bench():
    return benches.load("regret")


@pytest.fixture(scope="module")
def problem(bench):
    return bench.Demo()


def test_redrawn_runs_differ_as_trainings_with_other_seeds_did(problem):
    designs = range(0, len(problem.names), 5)
    runs = [[problem.shipped(i, j)["swd"] for j in problem.alike[i]] for i in designs]
    assert statistics.mean(map(statistics.pstdev, runs)) == pytest.approx(3.189, abs=1e-3)
    assert [statistics.mean(r) for r in runs] == pytest.approx([problem.truth[i] for i in designs])
    assert problem.best == pytest.approx(97.667, abs=1e-3)
    assert statistics.mean(problem.truth) - problem.best == pytest.approx(9.472, abs=1e-3)


@pytest.mark.parametrize(
    ("seed", "screened", "repeated", "confirmed"), [(0, 7.5712, 4.1887, 4.1887), (3, 3.7106, 3.5414, 3.3618)]
)
def test_a_sweep_of_a_given_seed_has_known_regrets(bench, problem, seed, screened, repeated, confirmed):
    """24 random designs of 200 steps, 12 repeats, 2 x 2 runs with PSNR phases of 1,000 steps."""
    sweep = bench.Sweep(problem, seed).screen("random", 24)
    assert (sweep.best(), sweep.steps) == (pytest.approx(screened, abs=1e-4), 4800)
    assert (sweep.repeat(6).best(), sweep.steps) == (pytest.approx(repeated, abs=1e-4), 7200)
    networks = 2  # of two architectures, so each has a longer PSNR phase, and no phase is shared
    assert sweep.confirm(2, 2) == pytest.approx(confirmed, abs=1e-4)
    assert sweep.steps == 7200 + 4 * (200 + 1000) + networks * problem.longer_steps
