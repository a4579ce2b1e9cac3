"""Tables keep measured and quoted numbers apart and mark only what may be compared."""

import csv
import io

from trainers.benchmarks.formats import Block, TableRow, columns, csv_text, latex, markdown, results_markdown

A, B, C = ("Set5", "psnr_y"), ("Set5", "ssim_y"), ("Set5", "swd")
MEASURED = Block(
    "measured here",
    [
        TableRow("bicubic", {A: 28.417, B: 0.81, C: 51.0}),
        TableRow(
            "ours",
            {A: 30.118, B: 0.85, C: 20.04},
            {"params": 1547350, "gmacs": 2.04, "latency_ms": 7.5, "memory_mb": 40.2},
        ),
    ],
    ranked=True,
)
QUOTED_BLOCK = Block(
    "quoted: a paper", [TableRow("theirs", {A: 99.0, ("Set9", "psnr_y"): 1.0})], ranked=False
)


def test_the_best_is_bold_by_direction_and_never_across_blocks():
    text = results_markdown([MEASURED, QUOTED_BLOCK], {"Set5 psnr_y": "Y, shaved"})
    assert "| ours | **30.12** | **0.8500** | **20.0** | 1,547,350 | 2.0 | 7.5 | 40.2 |" in text
    assert "| bicubic | 28.42 | 0.8100 | 51.0 |  |  |  |  |" in text
    assert "| theirs | 99.00 |  |  |  |  |  |  |" in text
    assert (
        text.index("**measured here**") < text.index("**quoted: a paper**") < text.index("- Set5 psnr_y: Y")
    )


def test_values_equal_as_printed_are_both_best_and_a_lone_row_is_not_marked():
    twins = Block(
        "t", [TableRow("a", {A: 28.4101}), TableRow("b", {A: 28.4099}), TableRow("c", {A: 1.0})], ranked=True
    )
    assert results_markdown([twins], {}).count("**28.41**") == 2
    assert "**28.41**" not in results_markdown([Block("t", twins.rows[:1], ranked=True)], {})


def test_a_markdown_table_has_a_header_and_escaped_cells():
    assert markdown(["model", "dB"], [["a|b", 28.5], ["c", ""]]) == (
        "| model | dB |\n| --- | --- |\n| a\\|b | 28.5 |\n| c |  |"
    )


def test_quoted_rows_add_no_column():
    assert columns([MEASURED, QUOTED_BLOCK]) == [A, B, C]


def test_csv_holds_unrounded_numbers_and_the_block_of_each():
    rows = list(csv.DictReader(io.StringIO(csv_text([MEASURED, QUOTED_BLOCK]))))
    assert [r["block"] for r in rows] == ["measured here", "measured here", "quoted: a paper"]
    assert float(rows[0]["Set5/psnr_y"]) == 28.417 and rows[2]["Set5/ssim_y"] == ""


def test_latex_escapes_names_and_marks_the_best():
    text = latex([MEASURED, Block("50% & more_or_less", QUOTED_BLOCK.rows, ranked=False)])
    assert "\\textbf{30.12}" in text and "psnr\\_y" in text and "50\\% \\& more\\_or\\_less" in text
