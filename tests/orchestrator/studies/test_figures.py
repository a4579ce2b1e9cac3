"""Figures: what is drawn where, as whole SVG files, and strips as PNG."""

import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from orchestrator.report.svg import Mark
from orchestrator.studies import figures


def texts(svg):
    return [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]


def test_the_best_cell_of_each_column_is_framed():
    maps = [figures.Heat("swd", [[1.0, 4.0], [2.0, 3.0]], [["1.0", "4.0"], ["2.0", "3.0"]], "min")]
    svg = figures.heat_maps(maps, ["a", "b"], ["x", "y"], "trained on")
    assert {"swd", "trained on", "1.0", "3.0"} <= set(texts(svg))
    frames = re.findall(rb'<rect x="([\d.]+)" y="([\d.]+)"[^>]*stroke="#c8401f"', svg)
    assert len(frames) == 2 and float(frames[0][1]) < float(frames[1][1]), (
        "the first column's best row is above"
    )


def test_bars_have_a_legend_and_levels():
    svg = figures.bars("PSNR", ["x"], {"a": [(30.0, 0.5)], "b": [(31.0, 0.1)]}, "dB", {"bicubic": [28.0]})
    assert {"PSNR", "a", "b", "bicubic", "dB (axis cut)"} <= set(texts(svg))
    heights = [float(h) for h in re.findall(rb'class="bar s[01]"[^>]* height="([\d.]+)"/><path', svg)]
    assert len(heights) == 2 and heights[0] < heights[1]
    assert len(re.findall(rb'<line class="level"', svg)) == 1, "one group has one level"
    assert re.search(rb'<path class="level"[^>]*/><text[^>]*>bicubic<', svg), "a dashed line in the legend"


def test_curves_on_a_log_axis_name_it_and_skip_empty_lines():
    svg = figures.curves("Loss", {"a": [(0, 1.0), (1, 0.1)], "none": []}, "update", "loss", log=True)
    assert "log10 loss" in texts(svg) and "none" not in texts(svg)
    assert len(re.findall(rb"<polyline", svg)) == 1


def test_regions_outside_the_points_are_not_drawn():
    marks = {"a": [Mark(10, 5, word="0.5", spread=(9, 11, 4, 6))], "none": [], "b": [Mark(12, 4)]}
    svg = figures.plane("P", marks, [(10, 5), (12, 4)], "rmse", "swd", {"in": 11.5, "out": 30.0})
    assert {"in", "0.5"} <= set(texts(svg)) and not {"out", "none"} & set(texts(svg))
    assert re.findall(rb'class="(whisker|mark) dot (s\d)"', svg) == [
        (b"whisker", b"s0"),
        (b"mark", b"s0"),
        (b"mark", b"s1"),
    ]


def test_a_strip_enlarges_pictures_in_their_cells(tmp_path):
    path = tmp_path / "red.png"
    Image.fromarray(np.full((2, 2, 3), (255, 0, 0), np.uint8)).save(path)
    strip = np.asarray(Image.open(io.BytesIO(figures.strip([[path, path]], ["a", "b"], 10))))
    assert strip.shape == (18 + 13, 26, 3)
    assert (strip[18:28, :10] == (255, 0, 0)).all() and (strip[18:28, 10:13] == 255).all()
