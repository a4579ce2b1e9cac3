"""Pieces of HTML escape their texts."""

from orchestrator.report.markup import cells, section, shown_unit, stacked_table, table, with_unit


def test_a_section_without_a_body_is_left_out():
    assert section("A & B", "<p>x</p>", "name") == '<section id="name"><h2>A &amp; B</h2><p>x</p></section>'
    assert section("A", "", "name") == ""


def test_a_unit_is_written_as_people_write_it():
    assert (shown_unit("swd"), shown_unit("psnr_y")) == ("×10⁻³", "dB")
    assert (with_unit("psnr_y", 25, 26.5), with_unit("ssim_y", 0.71)) == ("25.00 to 26.50\xa0dB", "0.7100")


def test_cells_and_tables_are_escaped():
    assert cells("td", ["a<b", "1"]) == "<tr><td>a&lt;b</td><td>1</td></tr>"
    assert table(["h"], [["x"], ["y"]]) == (
        '<div class="wide" tabindex="0"><table><thead><tr><th>h</th></tr></thead>'
        "<tbody><tr><td>x</td></tr><tr><td>y</td></tr></tbody></table></div>"
    )
    assert '<td role="cell" data-label="h&quot;">a&lt;b</td>' in stacked_table(['h"'], [["a<b"]], "c")
