"""Published numbers name their source and are never ranked."""

from trainers.benchmarks.published import QUOTED, quoted_blocks

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
