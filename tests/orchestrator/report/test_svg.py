"""Plots are well-formed SVG with every mark where its values say."""

import re
from xml.etree import ElementTree

import pytest

from orchestrator.report.svg import TITLED_TOP, Line, Mark, Plot, curves, document, inline, plane, series

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parse(data):
    """Return (tag, class, attributes) of every element of a plot."""
    elements = ElementTree.fromstring(data).iter()
    return [(e.tag.removeprefix(NAMESPACE), e.get("class", ""), e.attrib) for e in elements]


def of_class(data, look):
    return [attributes for _, name, attributes in parse(data) if look in name.split()]


def test_outliers_of_loose_looks_do_not_stretch_the_plane():
    marks = [Mark(x, x, "stopped", "") for x in range(40)] + [Mark(9_999, 1, "stopped", "")]
    drawn = plane(marks, [], "swd", "psnr_y", loose=("stopped",)).inline("label")
    assert of_class(drawn, "mark")[-1]["cx"] == "704.0"
    stretched = plane(marks, [], "swd", "psnr_y").inline("label")
    assert float(of_class(stretched, "mark")[-2]["cx"]) < 110


def test_the_front_is_a_staircase_and_one_point_is_none():
    plot = Plot([0, 10], [0, 10], margins=(0, 0))
    plot.front([(0, 0), (5, 5), (10, 10)])
    (path,) = of_class(plot.inline("label"), "front")
    assert path["d"] == "M64.0 384.0 H384.0 V199.0 H704.0 V14.0"
    lone = Plot([0, 10], [0, 10])
    lone.front([(1, 1)])
    assert lone.parts == []


def test_whiskers_lie_below_their_marks_and_words_beside_them():
    plot = plane([Mark(2, 3, "dot s0", spread=(1, 3, 2, 4), word="0.5")], [], "x", "y")
    looks = [look for _, look, _ in parse(plot.inline("label")) if look.endswith("s0")]
    assert looks == ["whisker dot s0", "mark dot s0"]
    (whisker,) = of_class(plot.inline("label"), "whisker")
    assert whisker["d"] == "M98.3 199.0H669.7M384.0 364.2V33.8"
    assert ">0.5</text>" in plot.inline("label")


def test_a_mark_without_tooltip_carries_no_data():
    bare, told = (plane([Mark(1, 1, "dot", tip, "row")], [], "x", "y").inline("l") for tip in ("", "a<b"))
    assert "data-tip" not in bare and 'data-tip="a&lt;b" data-id="row"' in told


def test_curves_begin_at_zero_and_levels_have_names():
    plot = curves(
        [Line([(50, 1.0), (100, 2.0)], "s0")], "step", "dB", verticals=[50], levels={"bicubic": 1.5}
    )
    (line,) = [a for tag, _, a in parse(plot.inline("label")) if tag == "polyline"]
    assert line["points"] == "384.0,364.2 691.7,33.8"
    (rung,) = of_class(plot.inline("label"), "rung")
    assert rung["x1"] == rung["x2"] == "384.0"
    (level,) = of_class(plot.inline("label"), "level")
    assert level["y1"] == "199.0" and ">bicubic</text>" in plot.inline("label")


def test_bars_stand_on_the_axis_over_their_words():
    plot = Plot([0, 2], [0, 10], margins=(0, 0))
    plot.frame("", "dB", {0.5: "faces", 1.5: "rooms"})
    plot.bar(0, 1, 5, "s0", half=1)
    plot.bar(1, 2, 10, "s1")
    plot.level(5, span=(0, 1))
    drawn = plot.inline("label")
    first, second = of_class(drawn, "bar")
    assert (first["y"], first["height"], second["height"]) == ("199.0", "185.0", "370.0")
    assert len(of_class(drawn, "error")) == 1 and of_class(drawn, "level")[0]["x2"] == "384.0"
    assert ">faces</text>" in drawn and len(of_class(drawn, "grid")) == 6


def test_a_document_stands_alone_with_title_and_legend():
    plot = curves([Line([(0, 1), (1, 2)], series(0))], "x", "y", top=TITLED_TOP)
    file = plot.document("A & B", {"ours": series(0), "bicubic": "level"})
    text = file.decode()
    assert text.startswith("<svg xmlns=") and "A &amp; B" in text and ".s0{color:#2563a8}" in text
    assert len(of_class(file, "swatch")) == 1 and ">ours</text>" in text and ">bicubic</text>" in text
    assert not re.search(r'(href|src)="|url\(', text)


def test_series_repeat_the_colours_in_turn():
    assert series(0) == series(9) == "s0" and series(8) == "s8"


def test_inline_and_document_carry_size_label_and_style():
    assert inline(["<g/>"], "a>b", (20, 10), "--c:red") == (
        '<svg viewBox="0 0 20 10" role="img" aria-label="a&gt;b" style="--c:red"><g/></svg>'
    )
    assert b'width="20" height="10"' in document([], 20, 10, ".cell{fill:red}")
    assert b".cell{fill:red}</style>" in document([], 20, 10, ".cell{fill:red}")


@pytest.mark.parametrize(("look", "tag"), [("bicubic", "rect"), ("warm", "path"), ("pick", "circle")])
def test_the_first_class_name_picks_the_shape(look, tag):
    drawn = plane([Mark(1, 1, look)], [], "x", "y").inline("label")
    assert [t for t, name, _ in parse(drawn) if "mark" in name] == [tag]
