"""Figures of a study: heat maps, bars, curves and the plane as whole SVG files, strips of pictures as PNG.

Axes, marks and legends are those of a sweep's report (orchestrator/report/svg.py).
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from orchestrator.report import svg
from orchestrator.report.svg import Line, Mark, Plot, series, text

CELL_PX, GAP_PX, LABEL_PX = 132, 3, 18
_HEAT_STYLE = ".cell{fill:#1c1e21;font-size:14px}.white{fill:#fff}"


@dataclass(frozen=True)
class Heat:
    """One heat map: `values` [row][column], the text of each cell, and the better direction, min or max."""

    title: str
    values: Sequence[Sequence[float]]
    cells: Sequence[Sequence[str]]
    better: str


def heat_maps(maps: Sequence[Heat], rows: Sequence[str], columns: Sequence[str], row_name: str) -> bytes:
    """Draw heat maps side by side; each column has its own colour scale, dark is best, the best is framed."""
    cell_w, cell_h, head, side = 96, 46, 66, 112
    width = side + len(maps) * (len(columns) * cell_w + 26)
    height = head + len(rows) * cell_h + 16
    parts = [text(8, 20, row_name, "name", "start")]
    for j, row in enumerate(rows):
        parts.append(text(side - 8, head + j * cell_h + cell_h / 2 + 4, row, "name", "end"))
    for k, heat in enumerate(maps):
        left = side + k * (len(columns) * cell_w + 26)
        parts.append(text(left + len(columns) * cell_w / 2, 20, heat.title, "title"))
        for i, column in enumerate(columns):
            parts.append(text(left + i * cell_w + cell_w / 2, head - 8, column))
            parts += _column(heat, i, left + i * cell_w, head, cell_w, cell_h)
    return svg.document(parts, width, height, _HEAT_STYLE)


def _column(heat: Heat, i: int, x: float, top: float, width: float, height: float) -> list[str]:
    values = [row[i] for row in heat.values]
    low, high = min(values), max(values)
    parts = []
    for j, value in enumerate(values):
        share = (value - low) / (high - low) if high > low else 0.5
        goodness = share if heat.better == "max" else 1 - share
        y, best = top + j * height, goodness == 1
        tone = [round(a + (b - a) * goodness) for a, b in ((236, 37), (240, 99), (245, 168))]
        frame = 'stroke="#c8401f" stroke-width="3"' if best else 'stroke="#fcfcfb"'
        parts.append(
            f'<rect x="{x + 2:.1f}" y="{y + 2:.1f}" width="{width - 4}" height="{height - 4}" '
            f'fill="rgb({tone[0]},{tone[1]},{tone[2]})" {frame}/>'
        )
        look = "cell white" if goodness > 0.55 else "cell"
        parts.append(text(x + width / 2, y + height / 2 + 5, heat.cells[j][i], look))
    return parts


def bars(
    title: str,
    groups: Sequence[str],
    bars_by_name: Mapping[str, Sequence[tuple[float, float]]],
    name: str,
    levels: Mapping[str, Sequence[float]] | None = None,
) -> bytes:
    """Draw groups of bars; each bar is (mean, half range over seeds); `levels` are dashed lines by group."""
    levels = levels or {}
    every = [v for values in bars_by_name.values() for m, h in values for v in (m - h, m + h)]
    every += [v for level in levels.values() for v in level]
    plot = Plot([0, len(groups)], every, top=48, margins=(0, 0.12))
    if min(every) >= 0:
        plot.y.low = max(plot.y.low, 0.0)
    plot.frame("", f"{name} (axis cut)", {g + 0.5: group for g, group in enumerate(groups)})
    wide = min(60.0 / (plot.x.end - plot.x.start) * len(groups), 0.8 / len(bars_by_name))
    for g in range(len(groups)):
        start = g + 0.5 - wide * len(bars_by_name) / 2
        for k, values in enumerate(bars_by_name.values()):
            mean, half = values[g]
            plot.bar(start + k * wide, start + (k + 1) * wide, mean, series(k), half)
        for level in levels.values():
            plot.level(level[g], span=(start, start + wide * len(bars_by_name)))
    legend = {n: series(k) for k, n in enumerate(bars_by_name)} | dict.fromkeys(levels, "level")
    return plot.document(title, legend)


def curves(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    x_name: str,
    y_name: str,
    *,
    marks: Sequence[float] = (),
    levels: Mapping[str, float] | None = None,
    log: bool = False,
) -> bytes:
    """Draw lines over steps; `marks` are vertical, `levels` horizontal; `log` draws decimal logarithms."""
    drawn = {n: [(x, math.log10(max(v, 1e-12)) if log else v) for x, v in p] for n, p in lines.items() if p}
    legend = {name: series(k) for k, name in enumerate(drawn)}
    plot = svg.curves(
        [Line(points, legend[name]) for name, points in drawn.items()],
        x_name,
        f"log10 {y_name}" if log else y_name,
        verticals=marks,
        levels=levels,
        top=svg.TITLED_TOP,
    )
    return plot.document(title, legend)


def plane(
    title: str,
    marks: Mapping[str, Sequence[Mark]],
    front: Sequence[tuple[float, float]],
    x_name: str,
    y_name: str,
    regions: Mapping[str, float] | None = None,
) -> bytes:
    """Draw the points of each series, `front` as a staircase, and `regions`: vertical borders by name."""
    legend = {name: f"dot {series(k)}" for k, name in enumerate(n for n in marks if marks[n])}
    every = [replace(mark, look=legend[name]) for name, own in marks.items() for mark in own]
    return svg.plane(every, front, x_name, y_name, regions=regions, top=svg.TITLED_TOP).document(
        title, legend
    )


def strip(rows: Sequence[Sequence[Path]], titles: Sequence[str], cell_px: int = CELL_PX) -> bytes:
    """Return a PNG with one row per image and one titled column per model, enlarged without smoothing."""
    width = len(titles) * (cell_px + GAP_PX)
    sheet = Image.new("RGB", (width, LABEL_PX + len(rows) * (cell_px + GAP_PX)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        font = _font_that_fits(pen, title, cell_px - 3)
        pen.text((column * (cell_px + GAP_PX) + 3, 3), title, fill="black", font=font)
    for j, row in enumerate(rows):
        for i, path in enumerate(row):
            with Image.open(path) as picture:
                cell = picture.convert("RGB").resize((cell_px, cell_px), Image.Resampling.NEAREST)
            sheet.paste(cell, (i * (cell_px + GAP_PX), LABEL_PX + j * (cell_px + GAP_PX)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _font_that_fits(
    pen: ImageDraw.ImageDraw, title: str, width_px: int
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in the largest size, 6 to 10, at which `title` is at most `width_px` wide."""
    fonts = [ImageFont.load_default(size) for size in (10, 9, 8, 7, 6)]
    return next((font for font in fonts if pen.textlength(title, font=font) <= width_px), fonts[-1])
