"""Published numbers name their source and are never ranked."""

import pytest
from helpers.paths import DATA

from trainers.benchmarks.published import QUOTED, quoted_blocks
from trainers.benchmarks.sets import open_test_set
from trainers.evaluate import Evaluator
from trainers.models import build_generator
from trainers.weight_import import import_generator
from trainers.weights import store

METRICS = ["psnr_y", "ssim_y"]


def test_every_quoted_row_names_its_source_and_is_not_ranked():
    assert all(q.source and q.values for q in QUOTED)
    blocks = quoted_blocks(4, ["Set5", "mine"], METRICS)
    assert len(blocks) == 2 and not any(b.ranked for b in blocks)
    assert all(set(s for s, _ in row.values) == {"Set5"} for b in blocks for row in b.rows)
    assert quoted_blocks(8, ["Set5"], METRICS) == [] == quoted_blocks(4, ["mine"], METRICS)
    (papers,) = quoted_blocks(4, ["Set5"], ["ssim_y_float", "dists"])
    assert {row.name for row in papers.rows} == {"SPAN", "DAT-light"}, "rounded and unrounded Y never meet"
    assert all(set(row.values) == {("Set5", "ssim_y_float")} for row in papers.rows)


def test_a_block_holds_the_numbers_of_its_source_at_one_scale():
    (block,) = quoted_blocks(2, ["Set5"], METRICS)
    assert block.title.startswith("quoted, x2: per-image results shipped with SelfExSR")
    bicubic = next(row for row in block.rows if row.name == "bicubic")
    assert bicubic.values == {("Set5", "psnr_y"): 33.64, ("Set5", "ssim_y"): 0.9292} and not bicubic.costs


@pytest.mark.slow
@pytest.mark.parametrize(("name", "weights"), [("SPAN", "span_x4"), ("DAT-light", "dat_light_x4")])
def test_a_published_network_has_its_published_numbers(tmp_path, name, weights):
    """Set5 with its shipped inputs: PSNR to 0.01 dB and SSIM to 0.0001, read from the file of a package."""
    if not (DATA / "Set5").is_dir() or store.present(weights) is None:
        pytest.skip(f"needs {DATA / 'Set5'} and upsweep weights {weights}")
    config, state = import_generator(store.find(weights))
    network = build_generator(config).eval()
    network.load_state_dict(state)
    quoted = next(q for q in QUOTED if q.name == name)
    pairs = open_test_set(str(DATA / "Set5"), 4, "matlab", tmp_path).pairs
    measured = Evaluator(pairs, quoted.metrics, scale=4).measure(network).summary
    psnr, ssim = quoted.values["Set5"]
    assert measured["psnr_y_float"] == pytest.approx(psnr, abs=0.01)
    assert measured["ssim_y_float"] == pytest.approx(ssim, abs=1e-4)
