"""The second recorded problem: what it holds, and what the defaults that follow from it need."""

import json

import numpy as np
import pytest
from bench import second
from scipy.stats import spearmanr

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def recording():
    return second.RecordedRuns.read()


def test_every_design_has_every_seed_and_a_derived_warm_start_unless_it_is_the_ancestor(recording):
    assert len(recording.runs) == 96 and not recording.diverged
    assert {tuple(sorted(seeds)) for seeds in recording.runs.values()} == {(0, 1, 2)}
    ancestor = {"generator.num_blocks": 2, "generator.norm": "none", "generator.upsampler": "pixel_shuffle"}
    others = {d for d in recording.runs if ancestor.items() - json.loads(d).items()}
    assert set(recording.derived) == others


@pytest.mark.parametrize("metric", ["lpips_alex", "lpips_vgg", "dists"])
def test_derived_warm_starts_rank_designs_as_another_seeds_own_ones_do(recording, metric):
    """Screening and repeats derive long PSNR phases by default because of this."""

    def ships(runs, seed):
        return [recording.value(runs[design][seed], metric) for design in recording.derived]

    def agreement(first):
        return np.mean([spearmanr(first, ships(recording.runs, seed)).statistic for seed in (1, 2)])

    assert agreement(ships(recording.derived, 0)) > agreement(ships(recording.runs, 0)) - 0.03


def test_the_landscape_predicts_designs_that_were_left_out():
    assert all(share > 0.75 for share in second.Photos().left_out())
